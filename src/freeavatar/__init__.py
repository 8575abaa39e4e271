"""freeavatar: a video of any face in, animation curves for any 3D avatar out.

The names below are the public API. Only the errors are imported at once, the rest on first use, so
that `import freeavatar` and the command line start instantly.
"""

from __future__ import annotations

import importlib
import os
from typing import TYPE_CHECKING, Any

from freeavatar.errors import (
    AvatarError,
    CurveFileError,
    DataError,
    FreeAvatarError,
    InputError,
    MediaError,
    MissingExtra,
    NoFaceFound,
    OutputError,
    UsageError,
    WeightsError,
)

# ONNX Runtime from 1.32 on keeps a device number and a list of events in the user's cache folder,
# from its import on; nobody asked for that.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

if TYPE_CHECKING:
    from freeavatar.animation import AnimationClip
    from freeavatar.animator.runtime import Animator
    from freeavatar.avatars.avatar import Avatar, pose
    from freeavatar.avatars.catalog import list_avatars
    from freeavatar.avatars.catalog import resolve as load_avatar
    from freeavatar.expression.runtime import ExpressionEncoder
    from freeavatar.pipeline import AnimateOptions, animate
    from freeavatar.rig import ARKIT, Control, RigSpec

__version__ = "0.1.0"

_ON_FIRST_USE = {
    "ARKIT": ("freeavatar.rig", "ARKIT"),
    "AnimateOptions": ("freeavatar.pipeline", "AnimateOptions"),
    "AnimationClip": ("freeavatar.animation", "AnimationClip"),
    "Animator": ("freeavatar.animator.runtime", "Animator"),
    "Avatar": ("freeavatar.avatars.avatar", "Avatar"),
    "Control": ("freeavatar.rig", "Control"),
    "ExpressionEncoder": ("freeavatar.expression.runtime", "ExpressionEncoder"),
    "RigSpec": ("freeavatar.rig", "RigSpec"),
    "animate": ("freeavatar.pipeline", "animate"),
    "list_avatars": ("freeavatar.avatars.catalog", "list_avatars"),
    "load_avatar": ("freeavatar.avatars.catalog", "resolve"),
    "pose": ("freeavatar.avatars.avatar", "pose"),
}

__all__ = [
    "ARKIT",
    "AnimateOptions",
    "AnimationClip",
    "Animator",
    "Avatar",
    "AvatarError",
    "Control",
    "CurveFileError",
    "DataError",
    "ExpressionEncoder",
    "FreeAvatarError",
    "InputError",
    "MediaError",
    "MissingExtra",
    "NoFaceFound",
    "OutputError",
    "RigSpec",
    "UsageError",
    "WeightsError",
    "__version__",
    "animate",
    "list_avatars",
    "load_avatar",
    "pose",
]


def __getattr__(name: str) -> Any:
    if name not in _ON_FIRST_USE:
        raise AttributeError(f"module 'freeavatar' has no attribute {name!r}")
    module, attribute = _ON_FIRST_USE[name]
    return getattr(importlib.import_module(module), attribute)


def __dir__() -> list[str]:
    return sorted(__all__)
