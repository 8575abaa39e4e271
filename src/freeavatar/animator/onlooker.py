"""What controls look like, to the expression encoder: frozen renderer and encoder, with gradients.

The heart of the paper's training: any face can be paired with any avatar, because how alike they
look can be measured, and improved, without knowing the right controls.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional as F

from freeavatar.animator.identity import DrivenRig
from freeavatar.expression.encoder import ExpressionNetwork
from freeavatar.expression.export import load_network
from freeavatar.renderer.model import NeuralRenderer
from freeavatar.renderer.train import KnownAvatar, load_renderer


@dataclass(frozen=True)
class Likeness:
    """How one member's controls are drawn: a row of the renderer, and the order it wants."""

    row: int
    columns: tuple[int, ...]


class Onlooker:
    """Draws controls and looks at the pictures."""

    def __init__(
        self,
        renderer: NeuralRenderer,
        known: Sequence[KnownAvatar],
        encoder: ExpressionNetwork,
    ) -> None:
        self.renderer = renderer.eval().requires_grad_(False)
        self.encoder = encoder.eval().requires_grad_(False)
        self.known = tuple(known)

    @staticmethod
    def load(renderer: Path, encoder: Path) -> Onlooker:
        """From the checkpoints of their trainings."""
        model, known = load_renderer(renderer)
        return Onlooker(model, known, load_network(encoder))

    def to(self, device: torch.device) -> Onlooker:
        """Both networks on another device."""
        self.renderer.to(device)
        self.encoder.to(device)
        return self

    def likenesses(self, member: DrivenRig) -> tuple[Likeness, ...]:
        """The avatar itself if the renderer knows it, else all with controls of the same names
        (so that the rig of the Live Link curves has a face: anybody's who speaks ARKit)."""
        names = member.rig.names
        same = [k for k in self.known if k.avatar == member.avatar and k.rig.names == names]
        alike = same or [k for k in self.known if set(k.rig.names) == set(names)]
        return tuple(
            Likeness(self.known.index(k), tuple(names.index(n) for n in k.rig.names)) for k in alike
        )

    def look(
        self, groups: Sequence[tuple[Float[Tensor, "_ _"], Likeness]]
    ) -> tuple[Float[Tensor, "sample 3 size size"], Float[Tensor, "sample embedding"]]:
        """Pictures of all groups' controls (as shares of their ranges) and their embeddings."""
        ordered = [(shares[:, list(likeness.columns)], likeness.row) for shares, likeness in groups]
        pictures = self.renderer.draw(ordered)
        view = encoder_view(pictures, self.encoder.config.trunk.image_size)
        return pictures, self.encoder(view)[0]


def encoder_view(
    pictures: Float[Tensor, "sample 3 size size"], encoder_size: int
) -> Float[Tensor, "sample 3 encoder encoder"]:
    """Drawn crops at the size that the encoder looks at, differentiable."""
    view = F.interpolate(
        pictures, size=(encoder_size, encoder_size), mode="bilinear", antialias=True
    )
    return view.clamp(0.0, 1.0)
