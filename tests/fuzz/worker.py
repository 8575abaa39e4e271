"""Runs command lines of freeavatar one after another in one process, each without a trace of the
last: JSON arguments come in by lines, what happened goes out by lines.

A process of its own, because a decoder that crashes takes its process with it. The networks are
stand-ins, for what is fuzzed is everything that reads files; with the argument `real` those that
ship.
"""

from __future__ import annotations

import contextlib
import io
import json
import resource
import sys
import traceback

import cv2
import numpy as np

from freeavatar.animator.runtime import Animator
from freeavatar.avatars.avatar import Avatar
from freeavatar.cli.main import main
from freeavatar.errors import AvatarError
from freeavatar.expression.runtime import ExpressionEncoder, Expressions

MOST_MEMORY = 6 * 2**30
"""A header that promises a picture of a terabyte must not be believed."""


class Grey(ExpressionEncoder):
    """One feature: how bright a crop is."""

    def __init__(self) -> None:
        pass

    def encode(self, crops: np.ndarray) -> Expressions:
        features = crops.reshape(len(crops), -1).mean(axis=1, keepdims=True).astype(np.float32)
        return Expressions(np.ones_like(features), features / 255.0)


class Halves(Animator):
    """Every control in the middle of its range, for rigs that are understood."""

    def __init__(self) -> None:
        self.usual = np.zeros(1, np.float32)

    def controls(
        self, features: np.ndarray, avatar: object, neutral: np.ndarray | None = None
    ) -> np.ndarray:
        rig = avatar.rig if isinstance(avatar, Avatar) else avatar
        if isinstance(avatar, Avatar) and avatar.arkit_to_rig is None:
            raise AvatarError(f"The controls of {avatar.name!r} have unknown names.")
        middle = (rig.minimum + rig.maximum) / 2.0
        return np.tile(middle, (len(features), 1))


def serve(real_networks: bool) -> None:
    cv2.setNumThreads(1)
    resource.setrlimit(resource.RLIMIT_AS, (MOST_MEMORY, MOST_MEMORY))
    if not real_networks:
        ExpressionEncoder.load = staticmethod(lambda *a, **k: Grey())
        Animator.load = staticmethod(lambda *a, **k: Halves())
    answers = sys.stdout
    for line in sys.stdin:
        said, complained, crash, code = io.StringIO(), io.StringIO(), "", -1
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(complained):
            try:
                code = main(json.loads(line))
            except BaseException:
                crash = traceback.format_exc()
        answer = {"code": code, "err": complained.getvalue(), "crash": crash}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    serve("real" in sys.argv[1:])
