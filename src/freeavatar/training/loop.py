"""The training loop: resumable at any moment to the same curve, logged as JSON lines.

Every batch is drawn from (seed, step) alone, so nothing but the weights, the optimiser and the
step number need saving. A run stopped by Ctrl-C or a lost machine goes on from its last save.
"""

from __future__ import annotations

import dataclasses
import json
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from freeavatar.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from freeavatar.devices import DeviceName, Precision, autocast, pick_device, seed_everything
from freeavatar.training.distributed import Workers
from freeavatar.training.schedule import warmup_cosine

Losses = dict[str, torch.Tensor]


@dataclass(frozen=True)
class LoopConfig:
    """How long, how fast and where to train."""

    num_steps: int = 2000
    learning_rate: float = 5e-4
    """AdamW peak rate."""
    weight_decay: float = 0.05
    slow_rate: float = 0.4
    """Share of the rate for parameters that were trained before on something else."""
    warmup_steps: int = 100
    clip_norm: float = 1.0
    ema_decay: float = 0.998
    """Averaged weights are what a run delivers; 0 switches averaging off."""
    seed: int = 0
    save_every_s: float = 120.0
    log_every: int = 20
    device: DeviceName = "auto"
    precision: Precision = "auto"
    minutes: float | None = None
    """Stop after this long, finishing the schedule early: the rate follows the clock."""


class Averaged:
    """Exponential moving average of a model's floating-point tensors."""

    def __init__(self, model: torch.nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {k: v.detach().clone() for k, v in model.state_dict().items()}

    @torch.no_grad()
    def update(self, model: torch.nn.Module, step: int) -> None:
        # Early on the average forgets faster, or it would remember the random start.
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, value in model.state_dict().items():
            if value.dtype.is_floating_point:
                self.tensors[name].lerp_(value.detach(), 1 - decay)
            else:
                self.tensors[name].copy_(value)


def _split_decay(
    model: torch.nn.Module, config: LoopConfig, slow: Iterable[torch.nn.Parameter]
) -> list[dict[str, Any]]:
    """Weight decay for matrices only; biases, norms and codes go free (MAE recipe)."""
    is_slow = {id(parameter) for parameter in slow}
    groups: dict[tuple[bool, bool], list[torch.nn.Parameter]] = {}
    for parameter in model.parameters():
        if parameter.requires_grad:
            key = (id(parameter) in is_slow, parameter.ndim > 1)
            groups.setdefault(key, []).append(parameter)
    return [
        {
            "params": parameters,
            "weight_decay": config.weight_decay if decays else 0.0,
            "rate": config.slow_rate if slowly else 1.0,
        }
        for (slowly, decays), parameters in sorted(groups.items(), key=lambda item: item[0][::-1])
    ]


def _optimizer_tensors(optimizer: torch.optim.Optimizer) -> dict[str, torch.Tensor]:
    state = optimizer.state_dict()["state"]
    return {
        f"optimizer.{index}.{name}": torch.as_tensor(value)
        for index, values in state.items()
        for name, value in values.items()
    }


def _restore_optimizer(optimizer: torch.optim.Optimizer, tensors: dict[str, torch.Tensor]) -> None:
    state: dict[int, dict[str, torch.Tensor]] = {}
    for key, value in tensors.items():
        _, index, name = key.split(".", 2)
        state.setdefault(int(index), {})[name] = value
    optimizer.load_state_dict(
        {"state": state, "param_groups": optimizer.state_dict()["param_groups"]}
    )


def folder_log(folder: Path) -> Path:
    """The log of a run's folder."""
    return folder / "log.jsonl"


class Run:
    """One training run in one folder: `log.jsonl`, `last.safetensors`, `final.safetensors`."""

    def __init__(
        self,
        folder: Path,
        kind: str,
        model: torch.nn.Module,
        model_config: dict[str, Any],
        config: LoopConfig,
        slow: Iterable[torch.nn.Parameter] = (),
    ) -> None:
        self.folder, self.kind, self.config = folder, kind, config
        self.model_config = model_config
        self.device = pick_device(config.device)
        self.workers = Workers(self.device)
        self.model = model.to(self.device)
        self.averaged = Averaged(self.model, config.ema_decay)
        self.optimizer = torch.optim.AdamW(
            _split_decay(model, config, slow), lr=config.learning_rate, betas=(0.9, 0.95)
        )
        self.step = 0
        self.trained_s = 0.0
        folder.mkdir(parents=True, exist_ok=True)
        if (folder / "last.safetensors").is_file():
            self._resume()
        if self.workers.is_first:
            self._forget_lost_steps()

    def _forget_lost_steps(self) -> None:
        """Drop lines of the log that are newer than the last save: those steps come again."""
        log = folder_log(self.folder)
        if not log.is_file():
            return
        kept = []
        for line in log.read_text().splitlines():
            try:
                if json.loads(line)["step"] <= self.step:
                    kept.append(line + "\n")
            except (ValueError, KeyError):
                continue  # the line that was being written when the run was stopped
        unfinished = log.with_name(f".{log.name}.partial")
        unfinished.write_text("".join(kept))
        unfinished.replace(log)

    def _resume(self) -> None:
        loaded = load_checkpoint(self.folder / "last.safetensors", self.kind, self.model_config)

        def under(prefix: str) -> dict[str, torch.Tensor]:
            return {
                k.removeprefix(prefix): v for k, v in loaded.tensors.items() if k.startswith(prefix)
            }

        self.model.load_state_dict(under("model."))
        self.averaged.tensors = {k: v.to(self.device) for k, v in under("average.").items()}
        _restore_optimizer(
            self.optimizer, {k: v for k, v in loaded.tensors.items() if k.startswith("optimizer.")}
        )
        self.step = int(loaded.progress["step"])
        self.trained_s = float(loaded.progress["trained_s"])

    def save(self) -> None:
        """Everything needed to go on."""
        tensors = {f"model.{k}": v for k, v in self.model.state_dict().items()}
        tensors |= {f"average.{k}": v for k, v in self.averaged.tensors.items()}
        tensors |= _optimizer_tensors(self.optimizer)
        progress = {"step": self.step, "trained_s": self.trained_s}
        save_checkpoint(
            self.folder / "last.safetensors",
            Checkpoint(self.kind, self.model_config, progress, tensors),
        )

    def save_final(self) -> None:
        """The averaged weights alone: what the next stage loads."""
        tensors = self.averaged.tensors if self.config.ema_decay else self.model.state_dict()
        progress = {
            "step": self.step,
            "trained_s": round(self.trained_s, 1),
            "loop": dataclasses.asdict(self.config),
        }
        save_checkpoint(
            self.folder / "final.safetensors",
            Checkpoint(self.kind, self.model_config, progress, dict(tensors)),
        )

    def _progress(self) -> float:
        """Share of the run that is done, by steps or, when a time is set, by the clock."""
        by_steps = self.step / self.config.num_steps
        if self.config.minutes is None:
            return by_steps
        return max(by_steps, self.trained_s / (60 * self.config.minutes))

    def fit(
        self,
        draw_batch: Callable[[np.random.Generator], Any],
        losses_of: Callable[[Any], Losses],
        report: Callable[[dict[str, float]], None] = lambda _: None,
    ) -> Path:
        """Train to the end; `losses_of` returns named terms of which `loss` is minimised."""
        last_save = time.monotonic()
        self.model.train()
        while self._progress() < 1.0:
            losses = self._one_step(draw_batch, losses_of)
            self.step += 1
            if not self.workers.is_first:
                continue
            if self.step % self.config.log_every == 0:
                report(self._log(losses))
            if time.monotonic() - last_save > self.config.save_every_s:
                self.save()
                last_save = time.monotonic()
        if self.workers.is_first:
            self.save()
            self.save_final()
        return self.folder / "final.safetensors"

    def _log(self, losses: Losses) -> dict[str, float]:
        """Append one line to the run's log; floats only, so a curve is one list comprehension."""
        line = {"step": float(self.step), "trained_s": round(self.trained_s, 1)}
        line |= {name: round(float(value), 5) for name, value in losses.items()}
        with folder_log(self.folder).open("a") as log:
            log.write(json.dumps(line) + "\n")
        return line

    def _one_step(
        self, draw_batch: Callable[[np.random.Generator], Any], losses_of: Callable[[Any], Losses]
    ) -> Losses:
        started = time.monotonic()
        # Masks draw from torch's generator: reseed it by step as well.
        generator = np.random.default_rng((self.config.seed, self.step, self.workers.rank))
        seed_everything(int(generator.integers(2**31)))
        batch = draw_batch(generator)
        factor = warmup_cosine(self.step, self._progress(), self.config.warmup_steps)
        for group in self.optimizer.param_groups:
            group["lr"] = self.config.learning_rate * factor * group["rate"]
        with autocast(self.device, self.config.precision):
            losses = losses_of(batch)
        self.optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()
        clock_s = self.trained_s + time.monotonic() - started
        self.trained_s = self.workers.average(self.model.parameters(), clock_s)
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), self.config.clip_norm)
        self.optimizer.step()
        self.averaged.update(self.model, self.step)
        return {name: value.detach() for name, value in losses.items()}
