"""What a rig can and cannot do, found by moving every control: the report of `avatars add`."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from freeavatar.avatars.avatar import Avatar, pose
from freeavatar.avatars.coverage import arkit_coverage
from freeavatar.avatars.prepared import face_unit
from freeavatar.rig import REGIONS

SEEN_MOVE_IN_U = 0.012
"""A control that moves nothing by this much, under a pixel of the face crop, shows nothing."""
EXPECTED_REGIONS = ("brow", "eye", "gaze", "jaw", "mouth", "cheek", "nose", "tongue")


@dataclass(frozen=True)
class Inspection:
    """Facts a person wants before using a rig."""

    num_controls: int
    idle: tuple[str, ...]
    """Controls that move nothing that could be seen."""
    num_named: int
    """Controls whose names say what they mean in ARKit's terms."""
    missing_arkit: tuple[str, ...]
    """ARKit movements that this rig cannot show, as far as names tell."""
    missing_regions: tuple[str, ...]
    """Regions of the face without a working control."""
    eyes: tuple[str, ...]
    """Eyes that turn."""
    parts: tuple[str, ...]
    """Of teeth, tongue, lashes, brows, hair: those that are surfaces of their own."""

    @property
    def speaks_arkit(self) -> bool:
        """Usable at once, without any training."""
        return self.num_named > 0


def inspect(avatar: Avatar) -> Inspection:
    """Move every control alone and look at what happens."""
    reach = reach_in_u(avatar)
    works = reach > SEEN_MOVE_IN_U
    names = np.array(avatar.rig.names)
    regions = {c.region for c, yes in zip(avatar.rig.controls, works, strict=True) if yes}
    mapping = avatar.arkit_to_rig
    named = np.zeros(len(names), bool) if mapping is None else np.any(mapping, axis=1)
    kinds = {surface.material.kind for surface in avatar.surfaces}
    parts = tuple(kind for kind in ("teeth", "tongue", "lash", "brow", "hair") if kind in kinds)
    return Inspection(
        num_controls=len(names),
        idle=tuple(names[~works].tolist()),
        num_named=int((named & works).sum()),
        missing_arkit=arkit_coverage(avatar).missing,
        missing_regions=tuple(r for r in REGIONS if r in EXPECTED_REGIONS and r not in regions),
        eyes=tuple(sorted(eye.side for eye in avatar.eyes)),
        parts=parts,
    )


def reach_in_u(avatar: Avatar) -> Float[np.ndarray, " control"]:
    """The farthest that each control moves a vertex, in units of the face."""
    rig = avatar.rig
    rest = pose(avatar, rig.rest)
    unit = face_unit(avatar.face)
    reach = np.zeros(len(rig), np.float32)
    for column in range(len(rig)):
        for end in (rig.minimum[column], rig.maximum[column]):
            values = rig.rest.copy()
            values[column] = end
            moved = pose(avatar, values)
            far = max(np.abs(a - b).max(initial=0.0) for a, b in zip(moved, rest, strict=True))
            reach[column] = max(reach[column], far / unit)
    return reach


def describe(found: Inspection) -> list[str]:
    """The inspection in words, most important first."""
    lines = [
        f"  controls  {found.num_controls}, {found.num_named} of them named as we know them",
        f"  eyes      {' and '.join(found.eyes) or 'none'} that turn"
        + ("" if found.eyes else ": gaze shows only if morphs move the pupils"),
        f"  parts     {', '.join(found.parts) or 'one piece: no teeth, tongue or lashes apart'}",
    ]
    if found.missing_regions:
        lines.append(f"  missing   nothing moves the {', '.join(found.missing_regions)}")
    if found.idle:
        shown = ", ".join(found.idle[:6]) + (", ..." if len(found.idle) > 6 else "")
        lines.append(f"  idle      {len(found.idle)} controls move nothing to be seen: {shown}")
    if found.speaks_arkit and found.missing_arkit:
        num = 52 - len(found.missing_arkit)
        shown = ", ".join(found.missing_arkit[:6]) + (
            ", ..." if len(found.missing_arkit) > 6 else ""
        )
        lines.append(f"  ARKit     {num} of 52 movements; not {shown}")
    elif found.speaks_arkit:
        lines.append("  ARKit     all 52 movements")
    return lines


def advice(avatar: Avatar, found: Inspection) -> str:
    """What to do next."""
    train = f"freeavatar train avatar {avatar.name}"
    if not found.speaks_arkit:
        return f"Its control names are not understood; let it learn them first: {train}"
    unnamed = found.num_controls - len(found.idle) - found.num_named
    if unnamed > 0:
        return f"Works at once; {unnamed} more controls would be used after: {train}"
    return f"Works at once. {train} fits it more closely."
