"""Every error that a user can fix. The command line prints its one line and no traceback.

FreeAvatarError
├── InputError            a picture, video, folder, avatar or curve file that cannot be used
│   ├── MediaError        unreadable, empty, cut, or without a picture stream
│   ├── NoFaceFound       readable, but nobody in it
│   ├── AvatarError       a 3D file without face controls, corrupt, or unknown by name
│   ├── CurveFileError    a file of curves (Live Link, controls CSV, NPZ, GLB) that does not parse
│   └── MappingError      a mapping file that asks for what does not exist
├── OutputError           a file that exists already, or a folder that cannot be written
├── WeightsError          weights missing, damaged (sha256), or made for another network or rig
├── UsageError            a command line that asks for something that does not exist
├── DataError             a training set that is missing, empty, damaged or of another format
└── MissingExtra          a feature whose optional dependency is not installed
"""

from __future__ import annotations


class FreeAvatarError(Exception):
    """Something the user can fix: what happened, what was found, what to try."""


class InputError(FreeAvatarError):
    """A file given by the user cannot be used."""


class MediaError(InputError):
    """A picture or video is unreadable, empty, cut, or without a picture stream."""


class NoFaceFound(InputError):
    """The input is readable but no frame of it shows a face."""


class AvatarError(InputError):
    """An avatar is unknown, corrupt, or has no face controls."""


class CurveFileError(InputError):
    """A file of animation curves does not parse."""


class MappingError(InputError):
    """A user's mapping file is not TOML or names something that does not exist."""


class OutputError(FreeAvatarError):
    """An output exists already or cannot be written."""


class WeightsError(FreeAvatarError):
    """Weights are missing, damaged, or made for another network or rig."""


class UsageError(FreeAvatarError):
    """The command line asks for something that does not exist; exit code 2."""


class DataError(FreeAvatarError):
    """A training set is missing, empty, damaged, or of another format."""


class MissingExtra(FreeAvatarError):
    """An optional dependency is not installed."""

    def __init__(self, feature: str, extra: str) -> None:
        super().__init__(
            f"{feature} needs packages that are not installed. "
            f'Install them with: pip install "freeavatar[{extra}]"'
        )
