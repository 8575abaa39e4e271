"""What each part of the expression recipe brings: the same number of crops for every variant.

    python recipes/ablate_expression.py --steps 300
    python recipes/ablate_expression.py --steps 300 --only whole no_asymmetry
    python recipes/ablate_expression.py --only read_out read_out_no_asymmetry

Variants whose names begin with read_out leave the trunk of --checkpoint as it is and teach a new
read-out on its tokens, with far more crops in the same time; the others train everything.

Data      data/renders/actors and judges, data/faces/fairface; --triplets for people's votes
Hardware  one CPU core, 2 to 12 minutes a variant with 300 steps; --device cuda on a GPU
Writes    OUT/<variant>/ and table.md; finished variants are not trained again
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
import torch
import tyro

from freeavatar.devices import pick_device
from freeavatar.evaluation.peers import Pictures, aligned, from_stored
from freeavatar.evaluation.truth import canonical_head, control_distances
from freeavatar.expression import evaluate as measures
from freeavatar.expression.data import strengths
from freeavatar.expression.encoder import EncoderConfig, ExpressionNetwork
from freeavatar.expression.export import load_network
from freeavatar.expression.finetune import FinetuneConfig, finetune
from freeavatar.expression.mae import MAEConfig
from freeavatar.expression.pretrain import PretrainConfig, pretrain
from freeavatar.expression.refine import RefineConfig, refine
from freeavatar.expression.vit import ViTConfig, vit_laptop, vit_mesh, vit_small, vit_tiny
from freeavatar.images import batch_from_pictures
from freeavatar.rig import ARKIT
from freeavatar.training.shards import open_shards
from refine_expression import Options as RefineOptions
from refine_expression import losses_of

Change = Callable[[FinetuneConfig], FinetuneConfig]


@dataclass(frozen=True)
class Variant:
    """One row of the table: a trunk, whether it is pretrained, and what is switched off."""

    trunk: ViTConfig = field(default_factory=vit_mesh)
    mae: bool = False
    off: tuple[str, ...] = ()
    """Weights of FinetuneConfig that become 0."""
    pool: Literal["grid", "mean"] = "grid"
    taught: bool = False
    """By the model of `Options.checkpoint`."""
    read_out: bool = False
    """Of the trunk of `Options.checkpoint`, on tokens."""


CONTROLS = ("controls", "asymmetry", "teacher", "head", "emotion")
TRIPLETS = (
    "triplets", "face_triplets", "mixed_triplets", "sameness", "mirrors", "own_faces",
)  # fmt: skip
EMOTION_TEACHER = ("emotion", "mixed_triplets", "what_is_felt")
SCORE_TEACHER = ("teacher", "what_moves")
VARIANTS: dict[str, Variant] = {
    "whole": Variant(),
    "whole_mae": Variant(mae=True),
    "conv_stem": Variant(vit_laptop()),
    "conv_stem_mae": Variant(vit_laptop(), mae=True),
    "conv_stem_taught": Variant(vit_laptop(), taught=True),
    "vit_tiny": Variant(vit_tiny()),
    "vit_tiny_mae": Variant(vit_tiny(), mae=True),
    "vit_small": Variant(vit_small()),
    "paper": Variant(vit_tiny(), mae=True, off=(*CONTROLS, "sameness"), pool="mean"),
    "renders_only": Variant(off=("faces_per_batch",)),
    "no_asymmetry": Variant(off=("asymmetry", "emphasis")),
    "triplets_only": Variant(off=CONTROLS),
    "controls_only": Variant(off=TRIPLETS),
    "no_emotion_teacher": Variant(off=EMOTION_TEACHER),
    "no_score_teacher": Variant(off=SCORE_TEACHER),
    "no_twins": Variant(off=("twins",)),
    "no_sameness": Variant(off=("sameness",)),
    "no_oversampling": Variant(off=("oversampling",)),
    "read_out": Variant(read_out=True),
    "read_out_renders_only": Variant(off=("faces_per_batch",), read_out=True),
    "read_out_no_asymmetry": Variant(off=("asymmetry",), read_out=True),
    "read_out_triplets_only": Variant(off=CONTROLS, read_out=True),
    "read_out_controls_only": Variant(off=TRIPLETS, read_out=True),
    "read_out_no_emotion_teacher": Variant(off=EMOTION_TEACHER, read_out=True),
    "read_out_no_score_teacher": Variant(off=SCORE_TEACHER, read_out=True),
    "read_out_no_render_triplets": Variant(off=("triplets",), read_out=True),
    "read_out_no_face_triplets": Variant(off=("face_triplets",), read_out=True),
    "read_out_no_mixed_triplets": Variant(off=("mixed_triplets",), read_out=True),
    "read_out_no_mirrors": Variant(off=("mirrors",), read_out=True),
    "read_out_no_own_faces": Variant(off=("own_faces",), read_out=True),
    "read_out_no_sameness": Variant(off=("sameness",), read_out=True),
    "read_out_no_anonymity": Variant(off=("anonymity",), read_out=True),
}


@dataclass(frozen=True)
class Options:
    """Ablate the expression recipe."""

    renders: list[Path] = field(default_factory=lambda: [Path("data/renders/actors")])
    judges: Path = Path("data/renders/judges")
    faces: list[Path] = field(default_factory=lambda: [Path("data/faces/fairface")])
    triplets: Path | None = None
    """A folder with triplets.csv and faces-48px.tar that people judged (evaluation only)."""
    out: Path = Path("runs/ablation")
    only: tuple[str, ...] = tuple(VARIANTS)
    steps: int = 300
    mae_steps: int = 150
    renders_per_batch: int = 32
    faces_per_batch: int = 14
    checkpoint: Path = Path("runs/expression/final.safetensors")
    tokens: Path = Path("runs/expression-refined")
    """Where recipes/refine_expression.py left the tokens of that checkpoint."""
    num_renders: int = 32_000
    num_faces: int = 12_000
    read_out_steps: int = 1000
    num_judges: int = 1500
    device: Literal["auto", "cpu", "cuda"] = "auto"
    seed: int = 0


def main(options: Options) -> None:
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    exam = Exam(options)
    rows: dict[str, dict[str, float]] = {}
    for name in options.only:
        folder = options.out / name
        result = folder / "result.json"
        if not result.is_file():
            started = time.process_time()
            checkpoint = train(VARIANTS[name], folder, options)
            cpu_s = time.process_time() - started
            scores = exam.sit(load_network(checkpoint)) | {"cpu minutes": round(cpu_s / 60, 1)}
            result.write_text(json.dumps(scores, indent=1))
        rows[name] = json.loads(result.read_text())
        print(name, rows[name], flush=True)
    (options.out / "table.md").write_text(table(rows))


def train(variant: Variant, folder: Path, options: Options) -> Path:
    """MAE first where the variant says so; then the expression space."""
    if variant.read_out:
        return train_read_out(variant, folder, options)
    pretrained = None
    if variant.mae:
        defaults = PretrainConfig()
        loop = dataclasses.replace(
            defaults.loop, num_steps=options.mae_steps, device=options.device, seed=options.seed
        )
        model = MAEConfig(trunk=variant.trunk)
        pretrained = pretrain(
            options.faces, folder / "mae", PretrainConfig(model, batch_size=64, loop=loop)
        )
    config = FinetuneConfig(
        model=EncoderConfig(variant.trunk, pool=variant.pool),
        renders_per_batch=options.renders_per_batch,
        faces_per_batch=options.faces_per_batch,
        triplets=0.5,
        face_triplets=0.4,
        mixed_triplets=0.2,
        mirrors=0.2,
    )
    loop = dataclasses.replace(
        config.loop,
        num_steps=options.steps,
        learning_rate=1e-3,
        device=options.device,
        seed=options.seed,
    )
    config = dataclasses.replace(config, loop=loop, **dict.fromkeys(variant.off, 0))
    faces = options.faces if config.faces_per_batch else []
    teacher = options.checkpoint if variant.taught else None
    return finetune(options.renders, faces, pretrained, folder, config, teacher=teacher)


def train_read_out(variant: Variant, folder: Path, options: Options) -> Path:
    """A new read-out of a trunk that stays as it is."""
    defaults = RefineConfig()
    losses = losses_of(RefineOptions())
    off = [name for name in variant.off if name != "faces_per_batch"]
    faces = [] if "faces_per_batch" in variant.off else options.faces
    loop = dataclasses.replace(
        defaults.loop, num_steps=options.read_out_steps, device=options.device, seed=options.seed
    )
    config = dataclasses.replace(
        defaults,
        num_renders=options.num_renders,
        num_faces=options.num_faces,
        losses=dataclasses.replace(losses, **dict.fromkeys(off, 0)),
        loop=loop,
    )
    return refine(
        options.checkpoint,
        options.renders,
        faces,
        folder,
        config,
        fresh=True,
        tokens=options.tokens,
    )


class Exam:
    """The same questions for every variant, on people that none was trained on."""

    def __init__(self, options: Options) -> None:
        self.device = pick_device(options.device)
        shards = open_shards(options.judges)
        rows = np.arange(min(options.num_judges, len(shards)))
        self.crops = from_stored(shards.gather(rows)).crops
        self.people = shards.columns["actor"][rows].astype(int)
        controls = shards.columns["arkit"][rows].astype(np.float64)
        self.known = np.where(
            np.asarray(shards.index["shows"], bool)[self.people], controls, np.nan
        )
        controls = controls * strengths(shards, rows)
        rng = np.random.default_rng(options.seed)
        head = canonical_head()
        skin = head.distances(controls)
        shapes = np.concatenate(head.shapes(controls), axis=1)
        classes = measures.expression_classes(shapes, 40, rng)
        rulers = [skin, control_distances(controls)]
        typed = measures.draw_typed_triplets(rulers, classes, 3000, rng)
        self.triplets = np.concatenate([typed[kind] for kind in measures.TRIPLET_TYPES])
        self.same = measures.relevant_by_truth(skin, 0.02)
        mirrored = head.distances(controls[:, ARKIT.mirror_columns], controls)
        self.mirror = measures.mirror_cases(mirrored, skin)
        self.voted: tuple[Pictures, np.ndarray] | None = None
        if options.triplets is not None:
            faces, triplets, _ = measures.read_human_triplets(options.triplets)
            self.voted = aligned(faces), triplets

    def sit(self, network: ExpressionNetwork) -> dict[str, float]:
        """All scores of one network."""
        network = network.to(self.device)
        embeddings, features = self._encode(network, self.crops)
        flipped, _ = self._encode(network, np.ascontiguousarray(self.crops[:, :, ::-1]))
        rng = np.random.default_rng(0)
        leak = measures.identity_leakage(embeddings, self.people, self.same | self.same.T, rng)
        scores = {
            "triplets": measures.triplet_accuracy(embeddings, self.triplets),
            "mirrored": measures.mirror_accuracy(
                embeddings, flipped[self.mirror.asked], self.mirror
            ),
            "ARKit probe": measures.control_probe(features, self.known, self.people)["all"],
            "person probe": leak.person_probe,
        }
        if self.voted is not None:
            faces, triplets = self.voted
            by_people, _ = self._encode(network, faces.crops)
            scores["votes"] = measures.triplet_accuracy(by_people, triplets)
        return {name: round(float(value), 3) for name, value in scores.items()}

    @torch.no_grad()
    def _encode(
        self, network: ExpressionNetwork, crops: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        parts = [
            network(torch.from_numpy(batch_from_pictures(crops[i : i + 16])).to(self.device))
            for i in range(0, len(crops), 16)
        ]
        embeddings, features = (torch.cat(part).cpu().numpy() for part in zip(*parts, strict=True))
        return embeddings, features


def table(rows: dict[str, dict[str, float]]) -> str:
    """Markdown, one variant a row."""
    names = list(dict.fromkeys(name for scores in rows.values() for name in scores))
    lines = ["| variant | " + " | ".join(names) + " |", "|---" * (len(names) + 1) + "|"]
    for variant, scores in rows.items():
        lines.append(f"| {variant} | " + " | ".join(str(scores.get(n, "")) for n in names) + " |")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main(tyro.cli(Options))
