"""`freeavatar train`: the networks, from sets that `freeavatar data` made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from freeavatar.cli.train_avatar import Avatar
from freeavatar.cli.train_expression import Expression
from freeavatar.cli.train_faces import Faces


@dataclass(frozen=True)
class Command:
    """Train a network. Stopped runs go on where they were; PyTorch is needed (extra [train])."""

    action: Annotated[
        Annotated[Faces, tyro.conf.subcommand("faces", prefix_name=False)]
        | Annotated[Expression, tyro.conf.subcommand("expression", prefix_name=False)]
        | Annotated[Avatar, tyro.conf.subcommand("avatar", prefix_name=False)],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
