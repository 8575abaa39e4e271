"""`freeavatar evaluate`: numbers on how good a result or a network is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from freeavatar.cli.evaluate_animator import Animator
from freeavatar.cli.evaluate_expression import Expression
from freeavatar.cli.evaluate_take import Take
from freeavatar.cli.evaluate_triplets import Triplets


@dataclass(frozen=True)
class Command:
    """Measure how good something is, beside what others would have made of it."""

    action: Annotated[
        Annotated[Animator, tyro.conf.subcommand("animator", prefix_name=False)]
        | Annotated[Expression, tyro.conf.subcommand("expression", prefix_name=False)]
        | Annotated[Take, tyro.conf.subcommand("take", prefix_name=False)]
        | Annotated[Triplets, tyro.conf.subcommand("triplets", prefix_name=False)],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
