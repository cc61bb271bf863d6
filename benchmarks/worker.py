"""The process of one library: it waits for a line on its standard input, does it, answers with a line.

    python -m benchmarks.worker '{"cpus": [0], "library": "pytorch"}'

While it waits it reads, so that a library at rest costs the others nothing.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .peers import Peer, problem

STEPS_COMPARED = 10


class Worker:
    """Keeps the trainers it was asked to make."""

    def __init__(self) -> None:
        self._trainers: dict[str, problem.Trainer] = {}

    def make(self, key: str, peer: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """A trainer, warmed up; its losses at the start and after STEPS_COMPARED steps."""
        trainer = Peer(**peer).maker(problem.load(given))
        losses = [trainer.loss()]
        trainer.run(STEPS_COMPARED)
        losses.append(trainer.loss())
        self._trainers[key] = trainer
        return {"losses": losses}

    def run(self, key: str, steps: int, warm: int = 0) -> dict[str, Any]:
        """Seconds of so many steps: those that count, and all."""
        run = self._trainers[key].run
        if warm:
            run(warm)
        start = time.perf_counter()
        own = run(steps)
        elapsed = time.perf_counter() - start
        return {"seconds": own if isinstance(own, float) else elapsed, "elapsed": elapsed}

    def drop(self, key: str) -> dict[str, Any]:
        """Forget a trainer."""
        self._trainers.pop(key, None)
        return {}

    def train(self, sizes: list[int], batch: int, density: float, optimizer: str) -> dict[str, Any]:
        """Make and train an `MLP`; by how many bytes the largest resident set exceeds that before."""
        import numpy as np

        from gradwright import MLP

        def fit(sizes: list[int], batch: int) -> None:
            hidden = ["relu"] * (len(sizes) - 2)
            net = MLP(sizes, [*hidden, "softmax"], density=density, optimizer=optimizer, backend="cpp")
            X = np.zeros((batch, sizes[0]), np.float32)
            net.fit(X, np.arange(batch) % sizes[-1], 2, batch_size=batch, verbose=False)

        fit([200, 200], 2)  # what is imported on the way is not counted
        before = _resident("VmRSS")
        fit(sizes, batch)
        return {"bytes": _resident("VmHWM") - before}


def _resident(field: str) -> int:
    """Bytes in memory, now (VmRSS) or at most so far (VmHWM)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    kilobytes = dict(line.split(":", 1) for line in lines)[field].split()[0]
    return int(kilobytes) * 1024


def main() -> None:
    os.sched_setaffinity(0, json.loads(sys.argv[1])["cpus"])
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print must not get between the answers
    worker = Worker()
    for line in sys.stdin:
        command = json.loads(line)
        try:
            answer = getattr(worker, command.pop("do"))(**command)
        except Exception as error:  # whatever a library raises belongs into the report
            answer = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


if __name__ == "__main__":
    main()
