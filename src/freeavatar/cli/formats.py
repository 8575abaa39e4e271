"""`freeavatar formats`: every file that `animate` can write."""

from __future__ import annotations

from dataclasses import dataclass

from freeavatar.export.registry import formats_help


@dataclass(frozen=True)
class Command:
    """List every file that `freeavatar animate` and `retarget` can write, one line each."""

    def run(self) -> int:
        """Print name, file and contents."""
        print(formats_help())
        print("* written when --formats names none. [usd] and [blender] are extras to install.")
        return 0
