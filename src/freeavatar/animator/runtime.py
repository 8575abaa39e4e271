"""The animator in the product: features -> the controls of any avatar, without PyTorch."""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from jaxtyping import Float

from freeavatar.animator.identity import Cast, DrivenRig
from freeavatar.avatars.avatar import Avatar
from freeavatar.errors import AvatarError, WeightsError
from freeavatar.inference import open_session, shipped
from freeavatar.rig import ARKIT, RigSpec


@dataclass(frozen=True)
class _Member:
    driven: DrivenRig
    code: Float[np.ndarray, " code"]
    vectors: Float[np.ndarray, "control width"]
    biases: Float[np.ndarray, " control"]


class Animator:
    """One network and every avatar it was trained for; others are reached through ARKit's names."""

    def __init__(self, session: onnxruntime.InferenceSession, members: list[_Member]) -> None:
        self._session = session
        self._members = {m.driven.avatar: m for m in members}

    @staticmethod
    def load(folder: Path | None = None, threads: int = 1) -> Animator:
        """The shipped weights, or `animator.onnx` and `animator.npz` of a folder."""
        if folder is None:
            network, table = shipped("animator.onnx"), shipped("animator.npz")
        else:
            network, table = folder / "animator.onnx", folder / "animator.npz"
        return Animator(open_session(network, threads), _read_members(table))

    def knows(self, avatar: Avatar) -> bool:
        """Whether the network was trained on this very rig."""
        member = self._members.get(avatar.name)
        return member is not None and member.driven.rig.digest == avatar.rig.digest

    def controls(
        self, features: Float[np.ndarray, "frame feature"], avatar: Avatar | RigSpec
    ) -> Float[np.ndarray, "frame control"]:
        """Control values within the rig's range; AvatarError for a rig nothing is known about."""
        if isinstance(avatar, RigSpec):
            if avatar.digest != ARKIT.digest:
                raise ValueError(f"only ARKIT can be driven without an avatar, not {avatar.name!r}")
            return self._run(features, self._members["arkit"])
        if self.knows(avatar):
            return self._run(features, self._members[avatar.name])
        if avatar.arkit_to_rig is None:
            raise AvatarError(
                f"The controls of avatar {avatar.name!r} have names that freeavatar does not know "
                f"({', '.join(avatar.rig.names[:4])}, ...). Rename them to ARKit's 52 names, or to "
                "VRM's expressions."
            )
        arkit = self._run(features, self._members["arkit"])
        return avatar.rig.clamp(avatar.rig.rest + arkit @ avatar.arkit_to_rig.T)

    def _run(
        self, features: Float[np.ndarray, "frame feature"], member: _Member
    ) -> Float[np.ndarray, "frame control"]:
        rig = member.driven.rig
        if len(features) == 0:
            return np.zeros((0, len(rig)), np.float32)
        inputs = {
            "features": np.ascontiguousarray(features, np.float32),
            "code": np.tile(member.code, (len(features), 1)),
            "vectors": member.vectors,
            "biases": member.biases,
        }
        (shares,) = self._session.run(None, inputs)
        return rig.clamp(rig.minimum + shares * (rig.maximum - rig.minimum))


def _read_members(path: Path) -> list[_Member]:
    try:
        with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as file:
            tables = {name: file[name] for name in ("codes", "vectors", "biases", "cast")}
        cast = Cast.from_json(json.loads(tables["cast"].tobytes()))
    except (OSError, ValueError, KeyError) as error:
        raise WeightsError(f"{path} is not a table of avatars ({error}).") from error
    return [
        _Member(
            driven,
            tables["codes"][i],
            tables["vectors"][cast.slots(driven)],
            tables["biases"][cast.slots(driven)],
        )
        for i, driven in enumerate(cast.members)
    ]
