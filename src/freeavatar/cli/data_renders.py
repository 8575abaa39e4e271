"""`freeavatar data renders`: avatars in random expressions -> pictures with exact truth."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2

from freeavatar.cli.output_folder import check_output_folder
from freeavatar.cli.terminal import Terminal
from freeavatar.errors import UsageError


@dataclass(frozen=True)
class Renders:
    """Draw actors in random and real expressions, poses, light and footage, with exact truth.

    The same options and seed give the same bytes. The bundled heads play; --data adds people.
    Look at OUT/sheet.png while the rest is drawn.
    """

    out: Path
    """Folder of the set."""
    num: int = 60_000
    """Pictures in all."""
    seed: int = 0
    people: Literal["training", "held-out"] = "training"
    """People who judge are never in training pictures."""
    data: Path | None = None
    """A folder with avatars/valid, avatars/ict and motion."""
    extra_avatars: tuple[Path, ...] = ()
    """More avatars that play: .glb or .vrm files, or folders of them."""
    backgrounds: Path | None = None
    """A set of `freeavatar data faces`, to cut blurred backgrounds from."""
    num_identities: int = 60
    """ICT people."""
    rare: float = 0.0
    """Share of pictures in which a few controls move that are seldom seen: sideways jaws, rolled
    lips, puffed cheeks."""
    takes: float = 0.0
    """Share of pictures that play a frame of a recorded take, beyond the usual quarter: what faces
    do together is learned from people."""
    occluded: float | None = None
    """Share of pictures with hands, hair, glasses, masks or microphones before the face
    [default: 0.2 for training, 0 held out]."""
    camera_damage: float | None = None
    """Share of pictures with lens faults, blur, noise and compression [default: 0.2 for training,
    0 held out]."""
    views: int = 1
    """Pictures of every expression: the same person again before another camera, in another light,
    mostly turned. Training then asks that they look alike to the network."""
    session: int = 1
    """Pictures of every session: the same person before the same camera in the same light, at rest
    in the first four: for an animator that is to learn a face beside how it rests."""
    turned_deg: float | None = None
    """Turn every head sideways by this, left and right in turn; all else is as without. For
    `evaluate expression --turned`."""
    teachers: Path | None = None
    """A folder with faceapi_expression.onnx, which says what each picture feels like."""
    processes: int = 2
    part_size: int = 1000
    """Pictures per file; what a stopped run loses at most."""

    def run(self) -> int:
        """Draw the set, or go on drawing it."""
        default = 0.2 if self.people == "training" else 0.0
        occluded = default if self.occluded is None else self.occluded
        damaged = default if self.camera_damage is None else self.camera_damage
        counts = (self.num, self.processes, self.part_size, self.views, self.session)
        if min(counts) < 1:
            raise UsageError(
                "--num, --processes, --part-size, --views and --session must be at least 1."
            )
        if self.views > 1 and self.session > 1:
            raise UsageError(
                "--views shows one expression from several sides, --session many from one side: "
                "draw two sets."
            )
        if not all(0 <= share <= 1 for share in (occluded, damaged, self.rare, self.takes)):
            raise UsageError(
                "--occluded, --camera-damage, --rare and --takes are shares from 0 to 1."
            )
        if self.turned_deg is not None and not 0 < self.turned_deg <= 60:
            raise UsageError(f"--turned-deg is {self.turned_deg:g}; give 1 to 60 degrees.")
        if self.seed < 0:
            raise UsageError(f"--seed is {self.seed}; give a whole number from 0 on.")
        check_output_folder(self.out)
        from freeavatar.datasets.casting import CastConfig, make_render_set
        from freeavatar.datasets.contact_sheets import sheet
        from freeavatar.datasets.felt import label_emotions
        from freeavatar.datasets.renders import claim_folder, draw_shard, write_renders

        cast = CastConfig(
            self.people,
            self.data,
            self.extra_avatars,
            self.backgrounds,
            self.num_identities,
            self.rare,
            self.takes,
        )
        with Terminal().progress("renders") as on_progress:
            spec = make_render_set(
                cast,
                self.num,
                self.seed,
                occluded,
                damaged,
                self.part_size,
                lambda actor: on_progress(f"actor {actor.name}", 0, None),
                None if self.turned_deg is None else math.radians(self.turned_deg),
                self.views,
                self.session,
            )
            claim_folder(spec, self.out)
            crops, _ = draw_shard(spec, 0, min(144, self.num))
            cv2.imwrite(str(self.out / "sheet.png"), sheet(list(crops))[..., ::-1])
            write_renders(
                spec,
                self.out,
                self.processes,
                lambda done, total: on_progress("drawing", done, total),
            )
            if self.teachers is not None:
                label_emotions(
                    self.out,
                    self.teachers,
                    lambda done, total: on_progress("asking the emotion net", done, total),
                )
        print(f"{self.num} pictures of {len(spec.actors)} actors -> {self.out}")
        print(f"look at {self.out / 'sheet.png'}")
        return 0
