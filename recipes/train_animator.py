"""One animator for every avatar, pulled by what faces look like: the whole training, one command.

    torchrun --nproc-per-node 2 recipes/train_animator.py --minutes 7

Data      data/renders/actors, data/renders/avatars (train_renderer.py), data/faces/fairface
Networks  runs/expression (expression.onnx, final.safetensors), runs/renderer/final.safetensors
Hardware  2 CPU cores: about 5 minutes of encoding, once per encoder, then --minutes of training
Expected  see docs/experiments.md
"""

from __future__ import annotations

import dataclasses
import hashlib
import os
import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import tyro

from freeavatar.animator.data import (
    FaceTables,
    FeatureTable,
    encode_faces,
    encode_own,
    encode_renders,
    from_tokens,
    load_own,
    load_table,
    save_table,
    together,
)
from freeavatar.animator.export import export_animator, save_finished
from freeavatar.animator.identity import Cast, DrivenRig, arkit_member
from freeavatar.animator.model import AnimatorConfig, Conditioning
from freeavatar.animator.onlooker import Onlooker
from freeavatar.animator.reach import SHARE
from freeavatar.animator.train import AnimatorTrainConfig, Lessons, LossWeights, train_animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.avatars.catalog import bundled_names, resolve
from freeavatar.avatars.gltf import load_avatar
from freeavatar.expression.export import export_network, load_network
from freeavatar.renderer.data import open_avatar_set

EXTRA = (
    "avatars/valid/White_M_1.glb",
    "avatars/valid/MENA_F_1.glb",
    "avatars/ict/ict_f_fair.glb",
    "avatars/vitruvian/vit_reptile.glb",
)


@dataclass(frozen=True)
class Options:
    """Train the animator and export it to ONNX."""

    renders: tuple[Path, ...] = (Path("data/renders/actors"),)
    """Renders of what is seldom (data/renders/rare) teach the encoder; here they make the curves of
    real performances worse (docs/experiments.md)."""
    faces: Path | None = Path("data/faces/fairface")
    sets: Path = Path("data/renders/avatars")
    """Pictures of the avatars themselves; avatars without a set learn by names alone."""
    expression: Path = Path("runs/expression")
    """Folder with final.safetensors and, if it was exported, expression.onnx."""
    renderer: Path | None = Path("runs/renderer/final.safetensors")
    """None trains without looking: no consistency, no pixels."""
    data: Path = Path("../shared/data")
    extra: tuple[str, ...] = EXTRA
    """Avatars beside the bundled ones, below --data."""
    out: Path = Path("runs/animator")
    tokens: Path | None = None
    """Tokens of renders that recipes/refine_expression.py left when it made --expression: more
    pictures for a second each thousand."""
    lifelike: float = 2.5
    """How many times as often a render of a recorded take is encoded: without, curves of real
    performances are worse by a tenth (docs/experiments.md)."""
    num_renders: int = 20_000
    num_faces: int = 5_000
    num_own: int = 1_000
    """Of each avatar."""
    processes: int = 2
    """That encode."""
    steps: int = 100_000
    minutes: float | None = 7.0
    conditioning: Conditioning = "hyper"
    weights: LossWeights = field(default_factory=lambda: LossWeights(consistency=0.0, pixels=0.0))
    """The paper looks at the avatar (1 and 5 in LossWeights). On real faces, where nothing else
    says how far to go, it shuts eyes and wrinkles noses until the encoder is pleased
    (docs/experiments.md): what ships is trained without."""
    unknown_neutral: float = AnimatorTrainConfig.unknown_neutral
    """Share of faces whose owner's neutral face is not told; 1 trains without it."""
    feature_noise: float = AnimatorTrainConfig.feature_noise
    mistaken_neutral: float = AnimatorTrainConfig.mistaken_neutral
    """Share for which a mild expression is taken for the neutral face."""
    reach: float = SHARE
    """How far curves go beyond what least squares dares (animator/reach.py), 0 to 1."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0
    only_encode: bool = False


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    if options.only_encode:
        encode_missing(options)
        return
    lessons, cast = prepare(options)
    config = AnimatorTrainConfig(
        model=AnimatorConfig(
            num_features=lessons.renders.features.shape[1], conditioning=options.conditioning
        ),
        weights=options.weights,
        unknown_neutral=options.unknown_neutral,
        feature_noise=options.feature_noise,
        mistaken_neutral=options.mistaken_neutral,
    )
    loop = dataclasses.replace(
        config.loop,
        num_steps=options.steps,
        minutes=options.minutes,
        device=options.device,
        seed=options.seed,
    )
    checkpoint = train_animator(
        lessons,
        cast,
        cache_folder(options) / "run",
        dataclasses.replace(config, loop=loop),
        lambda line: print(line, flush=True) if line["step"] % 200 == 0 else None,
    )
    if os.environ.get("RANK", "0") == "0":
        final = options.out / "final.safetensors"
        save_finished(checkpoint, final, lessons, options.reach)
        print(*export_animator(final, options.out))
        # Beside the animator, so that the folder is all that `--networks` asks for.
        shutil.copyfile(exported(options.expression), options.out / "expression.onnx")


def prepare(options: Options) -> tuple[Lessons, Cast]:
    """Encode what is not encoded yet by this very encoder, and gather all that teaches."""
    # Processes of one run share their parent: the others wait for the first to encode.
    done = options.out / f".encoded-{os.getppid()}"
    if os.environ.get("RANK", "0") == "0":
        encode_missing(options)
        done.touch()
    while not done.is_file():
        time.sleep(1.0)
    cache = cache_folder(options)
    avatars = find_avatars(options)
    members = [
        DrivenRig(avatar.name, avatar.rig, avatar.arkit_to_rig)
        for avatar in avatars
        if avatar.arkit_to_rig is not None
    ]
    drawn = [options.sets / m.avatar for m in members if (cache / f"{m.avatar}.npz").is_file()]
    faces = None
    if options.faces is not None:
        tables = [load_table(cache / f"faces-{side}.npz") for side in ("plain", "mirrored")]
        faces = FaceTables(*tables)
    onlooker = None
    if options.renderer is not None:
        onlooker = Onlooker.load(options.renderer, options.expression / "final.safetensors")
    lessons = Lessons(
        load_table(cache / "renders.npz"),
        faces,
        tuple(load_own(cache / f"{folder.name}.npz") for folder in drawn),
        tuple(open_avatar_set(folder) for folder in drawn),
        onlooker,
    )
    return lessons, Cast((arkit_member(), *members))


def exported(folder: Path) -> Path:
    """The encoder's ONNX file, written from the checkpoint when it is missing or older."""
    checkpoint, network = folder / "final.safetensors", folder / "expression.onnx"
    if not network.is_file() or (
        checkpoint.is_file() and network.stat().st_mtime < checkpoint.stat().st_mtime
    ):
        export_network(load_network(checkpoint), folder)
    return network


def find_avatars(options: Options) -> list[Avatar]:
    """Bundled heads and those of --extra that are there."""
    found = [resolve(name) for name in bundled_names()]
    for relative in options.extra:
        path = options.data / relative
        if path.is_file():
            found.append(load_avatar(path))
        else:
            print(f"left out, not found: {path}")
    return found


def cache_folder(options: Options) -> Path:
    """Features of this very encoder and these very pictures, and the run that learns from them."""
    encoder = (options.expression / "expression.onnx").read_bytes()
    counts = (
        options.num_renders, options.num_faces, options.num_own, options.seed, options.lifelike,
        *map(str, options.renders), *(f.name for f in dataclasses.fields(FeatureTable)),
    )  # fmt: skip
    if options.tokens is not None:
        counts = (*counts, len(list(options.tokens.glob("part-*.npz"))))
    digest = hashlib.sha256(encoder + repr(counts).encode()).hexdigest()
    return options.out / f"features-{digest[:8]}"


def encode_missing(options: Options) -> Path:
    """Compute the features that are not there yet; the folder that holds them."""
    encoder = exported(options.expression)
    cache = cache_folder(options)
    cache.mkdir(parents=True, exist_ok=True)
    how = (options.seed, options.processes)
    renders = cache / "renders.npz"
    if not renders.is_file():
        drawn = encode_renders(
            options.renders, encoder, options.num_renders, *how, _told("renders"), options.lifelike
        )
        if options.tokens is not None:
            refined = options.expression / "final.safetensors"
            drawn = together(drawn, from_tokens(options.tokens, refined))
        save_table(renders, drawn)
    if options.faces is not None and not (cache / "faces-mirrored.npz").is_file():
        faces = encode_faces(options.faces, encoder, options.num_faces, *how, _told("faces"))
        save_table(cache / "faces-plain.npz", faces.plain)
        save_table(cache / "faces-mirrored.npz", faces.mirrored)
    names = [
        avatar.name
        for avatar in find_avatars(options)
        if not (cache / f"{avatar.name}.npz").is_file() and (options.sets / avatar.name).is_dir()
    ]
    folders = [options.sets / name for name in names]
    own = encode_own(folders, encoder, options.num_own, *how, _told("avatars"))
    for name, table in zip(names, own, strict=True):
        save_table(cache / f"{name}.npz", table)
    return cache


def _told(what: str) -> Callable[[int, int], None]:
    return lambda done, total: print(f"encoded {what} {done} of {total}", flush=True)


if __name__ == "__main__":
    main(tyro.cli(Options))
