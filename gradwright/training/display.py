"""What a person sees of a training: a bar in a terminal, lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import Any, Protocol

from gradwright.training.history import History


class Display(Protocol):
    """Told about the way of a fit."""

    live: bool  # whether it wants to hear of parts of an epoch

    def start(self, epoch: int, target: int, batches: int | None) -> None:
        """A fit begins after `epoch` finished epochs."""

    def part(self, epoch: int, batches: int, loss: float) -> None:
        """So many batches of the epoch are done, with this mean loss."""

    def epoch(self, epoch: int, history: History) -> None:
        """An epoch is finished."""

    def finish(self) -> None:
        """The fit ends, or was interrupted."""


class Silence:
    """Shows nothing."""

    live = False

    def start(self, epoch: int, target: int, batches: int | None) -> None:
        """Nothing."""

    def part(self, epoch: int, batches: int, loss: float) -> None:
        """Nothing."""

    def epoch(self, epoch: int, history: History) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class Lines(Silence):
    """One line for every n epochs, with the time left."""

    def __init__(self, every: int = 1) -> None:
        self._every = every

    def start(self, epoch: int, target: int, batches: int | None) -> None:
        """The clock starts."""
        del batches
        self._first, self._target, self._begin = epoch, target, time.monotonic()

    def epoch(self, epoch: int, history: History) -> None:
        """A line, where it is due; always for the first and the last epoch."""
        at_an_end = epoch in (self._first + 1, self._target)
        if not at_an_end and (epoch - self._first) % self._every:
            return
        spent = time.monotonic() - self._begin
        left = spent / (epoch - self._first) * (self._target - epoch)
        print(f"epoch {epoch}/{self._target}  {latest(history)}  {left:.1f} s left", flush=True)


class Bar(Silence):
    """A bar with loss and time left, by Rich."""

    live = True

    def start(self, epoch: int, target: int, batches: int | None) -> None:
        """The bar appears."""
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        self._bar = Progress(
            TextColumn("epoch {task.fields[epoch]}"), BarColumn(),
            TextColumn("{task.fields[shown]}"), TimeRemainingColumn(),
        )  # fmt: skip
        self._batches, self._first, self._target = batches, epoch, target
        self._task = self._bar.add_task(
            "", total=target - epoch, epoch=f"{epoch}/{target}", shown=""
        )
        self._bar.start()

    def part(self, epoch: int, batches: int, loss: float) -> None:
        """The bar grows within the epoch."""
        if self._batches:
            done = epoch - self._first + batches / self._batches
            self._bar.update(self._task, completed=done, shown=f"loss {loss:.4g}")

    def epoch(self, epoch: int, history: History) -> None:
        """The bar grows by an epoch."""
        self._bar.update(
            self._task, completed=epoch - self._first, epoch=f"{epoch}/{self._target}",
            shown=latest(history),
        )  # fmt: skip

    def finish(self) -> None:
        """The bar stays as it is."""
        self._bar.stop()


def latest(history: History) -> str:
    """The last numbers of a history."""
    shown = {name: values[-1] for name, values in history.columns().items()}
    shown.pop("learning_rate", None)
    return "  ".join(f"{name.replace('_', ' ')} {value:.4g}" for name, value in shown.items())


def display(verbose: Any) -> Display:
    """The display that `verbose` asks for: False, True, every n epochs, or one's own."""
    if hasattr(verbose, "start"):
        own: Display = verbose
        return own
    if verbose is False or verbose is None:
        return Silence()
    every = int(verbose)
    if every < 1:
        return Silence()
    if verbose is True and sys.stdout.isatty():
        try:
            import rich.progress  # noqa: F401

            return Bar()
        except ModuleNotFoundError:
            pass
    return Lines(every)
