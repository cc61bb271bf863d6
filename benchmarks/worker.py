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
        """Seconds of so many steps."""
        run = self._trainers[key].run
        if warm:
            run(warm)
        start = time.perf_counter()
        run(steps)
        return {"seconds": time.perf_counter() - start}

    def drop(self, key: str) -> dict[str, Any]:
        """Forget a trainer."""
        self._trainers.pop(key, None)
        return {}

    def memory(self) -> dict[str, Any]:
        """The largest resident set so far, in bytes."""
        fields = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
        return {"bytes": int(fields["VmHWM"].split()[0]) * 1024}


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
