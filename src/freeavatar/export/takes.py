"""What the exporters are given: one recording and the avatars that perform it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from freeavatar.animation import AnimationClip
from freeavatar.avatars.avatar import Avatar
from freeavatar.export.report import Report


@dataclass(frozen=True)
class Character:
    """One avatar and its performance, on its own rig."""

    avatar: Avatar
    clip: AnimationClip


@dataclass(frozen=True)
class AnimatedTake:
    """One recording and everybody who performs it; all clips have the recording's frames."""

    source: Path
    """The video or picture, for its pictures and its sound; or a file of curves."""
    arkit: AnimationClip
    characters: tuple[Character, ...]
    report: Report | None = None
    """Known last: it tells how long everything else took."""
    has_pictures: bool = True
    """False when the source holds curves only."""

    def __post_init__(self) -> None:
        for character in self.characters:
            if len(character.clip) != len(self.arkit):
                raise ValueError(
                    f"{character.avatar.name} has {len(character.clip)} frames, "
                    f"the take has {len(self.arkit)}"
                )
