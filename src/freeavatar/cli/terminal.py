"""What a person sees while many inputs are worked on: a bar per input, failures, a summary."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from freeavatar.performance import OnProgress


class Terminal:
    """Counts what was done. Progress goes to stderr, and only where somebody watches it."""

    def __init__(self) -> None:
        self._stderr = Console(stderr=True, highlight=False, soft_wrap=True)
        self.num_done = 0
        self.num_failed = 0

    @contextlib.contextmanager
    def progress(self, name: str) -> Iterator[OnProgress]:
        """A bar for one input; the value is called with (stage, frames done, frames in all)."""
        if not self._stderr.is_terminal:
            yield _say_nothing
            return
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
        )
        with Progress(*columns, console=self._stderr, transient=True) as bars:
            bar = bars.add_task(escape(name), total=None, rate="")
            stage_now = ""

            def on_progress(stage: str, done: int, total: int | None) -> None:
                nonlocal stage_now
                if stage != stage_now:
                    stage_now = stage
                    bars.reset(bar, total=total, description=f"{escape(name)}: {stage}")
                speed = bars.tasks[0].speed
                rate = f"{speed:.0f} frames/s" if speed else ""
                bars.update(bar, completed=done, total=total, rate=rate)

            yield on_progress

    def finished(self, line: str) -> None:
        """One input is done."""
        self.num_done += 1
        print(line, flush=True)

    def failed(self, reason: object) -> None:
        """One input cannot be used; the rest goes on."""
        self.num_failed += 1
        print(f"freeavatar: {reason}", file=sys.stderr, flush=True)

    def close(self) -> int:
        """The summary of several inputs; the value is the exit code."""
        total = self.num_done + self.num_failed
        if total > 1:
            failed = f", {self.num_failed} failed" if self.num_failed else ""
            print(f"{self.num_done} of {total} inputs done{failed}.")
        return 1 if self.num_failed else 0


def _say_nothing(stage: str, done: int, total: int | None) -> None:
    pass
