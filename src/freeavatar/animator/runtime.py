"""The animator in the product: features -> the controls of any avatar, without PyTorch."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
import onnxruntime
from jaxtyping import Float

from freeavatar.animator.identity import ARKIT_MEMBER, Cast, DrivenRig
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import WEIGHTS_SUFFIX
from freeavatar.errors import AvatarError, WeightsError
from freeavatar.inference import open_session, shipped
from freeavatar.rig import ARKIT, RigSpec

_TABLES = ("codes", "vectors", "biases", "readouts", "offsets", "shares", "cast")
"""Of a file of avatars."""


_TOGETHER = 2048
"""Frames that the network answers at once: what the avatar's code generates is made for each, some
30 kB a frame, and takes may be long."""


@dataclass(frozen=True)
class _Member:
    driven: DrivenRig
    code: Float[np.ndarray, " code"]
    vectors: Float[np.ndarray, "control width"]
    biases: Float[np.ndarray, " control"]
    readouts: Float[np.ndarray, "control feature"]
    offsets: Float[np.ndarray, " control"]
    shares: Float[np.ndarray, " control"]


class Animator:
    """One network and every avatar it was trained for; others are reached through ARKit's names."""

    def __init__(
        self,
        session: onnxruntime.InferenceSession,
        members: list[_Member],
        usual: Float[np.ndarray, " feature"],
        trunk: str,
    ) -> None:
        self._session = session
        self.usual = usual
        """Features of a neutral face, for actors whose own is not known."""
        self._members = {m.driven.avatar: m for m in members}
        self._trunk = trunk
        self._personal: dict[str, _Member | None] = {}

    @staticmethod
    def load(folder: Path | None = None, threads: int = 1) -> Animator:
        """The shipped weights, or `animator.onnx` and `animator.npz` of a folder."""
        if folder is None:
            network, table = shipped("animator.onnx"), shipped("animator.npz")
        else:
            network, table = folder / "animator.onnx", folder / "animator.npz"
        members, usual = _read_table(table)
        return Animator(open_session(network, threads), members, usual, trunk_digest(network))

    def knows(self, avatar: Avatar) -> bool:
        """Whether the network was trained on this very rig, with the others or afterwards."""
        return self._member(avatar) is not None

    def _member(self, avatar: Avatar) -> _Member | None:
        """What was learned of an avatar: its own weights file first, then the shared table."""
        if avatar.source not in self._personal:
            path = personal_weights(Path(avatar.source))
            found = None
            if avatar.source and path.is_file():
                found = _read_personal(path, avatar.rig, self._trunk)
            self._personal[avatar.source] = found
        member = self._personal[avatar.source] or self._members.get(avatar.name)
        if member is None or member.driven.rig.digest != avatar.rig.digest:
            return None
        return member

    def controls(
        self,
        features: Float[np.ndarray, "frame feature"],
        avatar: Avatar | RigSpec,
        neutral: Float[np.ndarray, " feature"] | None = None,
    ) -> Float[np.ndarray, "frame control"]:
        """Control values within the rig's range; AvatarError for a rig nothing is known about.

        `neutral`: features of the actor's neutral face; None where nobody knows them.
        """
        if isinstance(avatar, RigSpec):
            if avatar.digest != ARKIT.digest:
                raise ValueError(f"only ARKIT can be driven without an avatar, not {avatar.name!r}")
            return self._run(features, self._members[ARKIT_MEMBER], neutral)
        member = self._member(avatar)
        if member is not None:
            return self._run(features, member, neutral)
        if avatar.arkit_to_rig is None:
            raise AvatarError(
                f"The controls of avatar {avatar.name!r} have names that freeavatar does not know "
                f"({', '.join(avatar.rig.names[:4])}, ...). Let it learn them: freeavatar train "
                f"avatar {avatar.name}. Or rename them to ARKit's 52 names or VRM's expressions."
            )
        arkit = self._run(features, self._members[ARKIT_MEMBER], neutral)
        return avatar.rig.clamp(avatar.rig.rest + arkit @ avatar.arkit_to_rig.T)

    def member_controls(
        self, name: str, features: Float[np.ndarray, "frame feature"]
    ) -> Float[np.ndarray, "frame control"]:
        """Controls of one whom the shared table knows, without its file; KeyError if absent."""
        return self._run(features, self._members[name], None)

    def _run(
        self,
        features: Float[np.ndarray, "frame feature"],
        member: _Member,
        neutral: Float[np.ndarray, " feature"] | None,
    ) -> Float[np.ndarray, "frame control"]:
        rig = member.driven.rig
        at_rest = self.usual if neutral is None else neutral
        if len(features) == 0:
            return np.zeros((0, len(rig)), np.float32)
        of_rig = {
            "vectors": member.vectors,
            "biases": member.biases,
            "readouts": member.readouts,
            "offsets": member.offsets,
            "shares": member.shares,
        }
        parts = []
        for start in range(0, len(features), _TOGETHER):
            some = np.ascontiguousarray(features[start : start + _TOGETHER], np.float32)
            of_frames = {
                "features": some,
                "neutral": np.tile(at_rest.astype(np.float32), (len(some), 1)),
                "code": np.tile(member.code, (len(some), 1)),
            }
            parts += self._session.run(None, of_frames | of_rig)
        shares = np.concatenate(parts)
        return rig.clamp(rig.minimum + shares * (rig.maximum - rig.minimum))


def trunk_digest(network: Path) -> str:
    """Names the network that a personal weights file was made for."""
    return hashlib.sha256(network.read_bytes()).hexdigest()


def personal_weights(avatar_file: Path) -> Path:
    """Where `freeavatar train avatar` writes what it learned of one avatar."""
    return avatar_file.with_name(avatar_file.stem + WEIGHTS_SUFFIX)


def _read_personal(path: Path, rig: RigSpec, trunk: str) -> _Member:
    """One avatar's weights; WeightsError when they are damaged, or of another rig or network."""
    again = (
        f"Run `freeavatar train avatar {path.name.removesuffix(WEIGHTS_SUFFIX)}` again, or delete"
    )
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            made_for = file["trunk"].tobytes().decode()
            # What another version wrote may lack tables, and is whole all the same.
            same_version = made_for == trunk
            tables = {name: file[name] for name in (_TABLES if same_version else ("cast",))}
        driven = Cast.from_json(json.loads(tables["cast"].tobytes())).members[0]
        member = _members_of(tables)[0] if same_version else None
    except (OSError, ValueError, KeyError, EOFError, IndexError, BadZipFile) as error:
        raise WeightsError(f"{path} is damaged ({error}). {again} it.") from error
    if driven.rig.digest != rig.digest:
        raise WeightsError(
            f"{path} was trained for another rig: it has {len(driven.rig)} controls, the "
            f"avatar {len(rig)}, or their names differ. {again} it."
        )
    if member is None:
        raise WeightsError(f"{path} was trained with another version of freeavatar. {again} it.")
    return member


def _read_table(path: Path) -> tuple[list[_Member], Float[np.ndarray, " feature"]]:
    """All whom the network knows, and a neutral face's features."""
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            tables = {name: file[name] for name in (*_TABLES, "usual")}
        return _members_of(tables), tables["usual"]
    except (OSError, ValueError, KeyError, EOFError, IndexError, BadZipFile) as error:
        raise WeightsError(f"{path} is not a table of avatars ({error}).") from error


def _members_of(tables: dict[str, np.ndarray]) -> list[_Member]:
    cast = Cast.from_json(json.loads(tables["cast"].tobytes()))
    return [
        _Member(
            driven,
            tables["codes"][i],
            tables["vectors"][cast.slots(driven)].astype(np.float32),
            tables["biases"][cast.slots(driven)],
            tables["readouts"][cast.slots(driven)].astype(np.float32),
            tables["offsets"][cast.slots(driven)],
            tables["shares"][cast.slots(driven)],
        )
        for i, driven in enumerate(cast.members)
    ]
