"""Several processes, one model: torchrun starts them, gradients are averaged after each step.

One process with two threads gained only 1.4 times over one thread here (docs/experiments.md), hence
one single-threaded process a core.
"""

from __future__ import annotations

import os
from collections.abc import Iterable

import torch
import torch.distributed as dist


class Workers:
    """This process's place among those of one run; alone unless torchrun started us."""

    def __init__(self, device: torch.device) -> None:
        self.count = int(os.environ.get("WORLD_SIZE", "1"))
        self.rank = int(os.environ.get("RANK", "0"))
        if self.count > 1 and not dist.is_initialized():
            if device.type == "cpu":
                torch.set_num_threads(1)
            dist.init_process_group("nccl" if device.type == "cuda" else "gloo")

    @property
    def is_first(self) -> bool:
        """The one that writes logs and checkpoints."""
        return self.rank == 0

    def average(self, parameters: Iterable[torch.nn.Parameter], clock_s: float) -> float:
        """Average gradients in place, and the clock, so that all stop at the same step."""
        if self.count == 1:
            return clock_s
        gradients = [p.grad for p in parameters if p.grad is not None]
        clock = torch.tensor([clock_s], device=gradients[0].device)
        flat = torch.cat([*(g.reshape(-1) for g in gradients), clock])
        dist.all_reduce(flat)
        flat /= self.count
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()
        return float(flat[-1])
