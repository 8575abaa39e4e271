"""`freeavatar data`: training sets."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import tyro

from freeavatar.cli.data_faces import Faces
from freeavatar.cli.data_renders import Renders


@dataclass(frozen=True)
class Command:
    """Make a training set. Stopped runs go on where they were."""

    action: Annotated[
        Annotated[Faces, tyro.conf.subcommand("faces", prefix_name=False)]
        | Annotated[Renders, tyro.conf.subcommand("renders", prefix_name=False)],
        tyro.conf.arg(name=""),
    ]

    def run(self) -> int:
        """Run the chosen action."""
        return self.action.run()
