"""Contenders take turns, each in the process of its library, all others asleep."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from .peers import Peer
from .peers.problem import Problem

Seconds = dict[str, list[float]]


@dataclass(frozen=True)
class Effort:
    """How long to measure."""

    rounds: int = 9
    turn: float = 0.04  # seconds of a turn; at least one step


QUICK = Effort(rounds=5, turn=0.015)


@dataclass
class Result:
    """Seconds a step of every contender in every round, and why the others are missing."""

    seconds: Seconds = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)


class LibraryFailedError(RuntimeError):
    """A library could not do what it was asked for."""


class Process:
    """A library's process on the given cores."""

    def __init__(self, library: str, cpus: Sequence[int]) -> None:
        threads = str(len(cpus))
        limits = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), threads)
        own = {
            "KMP_BLOCKTIME": "20",  # milliseconds; 200 would keep the others waiting
            "MKL_THREADING_LAYER": "SEQUENTIAL" if len(cpus) == 1 else "INTEL",
            "JAX_PLATFORMS": "cpu",
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
        }
        if len(cpus) == 1:
            own["XLA_FLAGS"] = "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
        self.library = library
        self._process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", json.dumps({"cpus": list(cpus), "library": library})],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
            env=os.environ | limits | own, cwd=Path(__file__).parents[1],
        )  # fmt: skip

    def ask(self, do: str, **command: Any) -> dict[str, Any]:
        """The answer of Worker.<do>(**command), once the process is at rest again."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            self._process.stdin.write(json.dumps({"do": do} | command) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise LibraryFailedError(f"its process ended with status {self._process.wait()}")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise LibraryFailedError(answer["error"])
        self._rest()
        return answer

    def _rest(self, most: float = 1.0) -> None:
        """Wait until all threads sleep: pools spin for a while after their last task."""
        tasks, end = Path(f"/proc/{self._process.pid}/task"), time.monotonic() + most
        if not tasks.exists():
            time.sleep(0.3)
            return
        while time.monotonic() < end:
            states = [(task / "stat").read_text().rpartition(")")[2].split()[0] for task in tasks.iterdir()]
            if "R" not in states:
                return
            time.sleep(0.002)

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def ended(self) -> bool:
        """Whether the process is no more."""
        return self._process.poll() is not None

    def close(self) -> None:
        """End the process."""
        self._process.kill()
        self._process.communicate()


class Arena:
    """The processes of a run with one number of threads; they start when they are first needed."""

    def __init__(self, threads: int) -> None:
        cpus = sorted(os.sched_getaffinity(0))
        if threads > len(cpus):
            raise ValueError(f"asked for {threads} threads on {len(cpus)} cores")
        self.threads, self.cpus = threads, cpus[-threads:]  # the first core serves most interrupts
        self._processes: dict[str, Process] = {}
        self._folder = tempfile.TemporaryDirectory()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None,
                 trace: TracebackType | None) -> None:  # fmt: skip
        for process in self._processes.values():
            process.close()
        self._folder.cleanup()

    def process(self, library: str) -> Process:
        """The process of a library."""
        if library not in self._processes:
            self._processes[library] = Process(library, self.cpus)
        return self._processes[library]

    def stop(self, library: str) -> None:
        """End the process of a library; the next use starts another one."""
        if library in self._processes:
            self._processes.pop(library).close()

    def make(self, peer: Peer, problem: Problem) -> list[float]:
        """Let a peer prepare; its losses before and after a few steps."""
        given = problem.save(Path(self._folder.name))
        losses: list[float] = self.process(peer.library).ask(
            "make", key=peer.name, peer=asdict(peer), given=given
        )["losses"]
        return losses

    def compete(self, entries: Iterable[tuple[Peer, Problem]], effort: Effort) -> Result:
        """Interleaved: every round gives each contender a turn of several steps."""
        result = Result()
        losses: dict[Peer, list[float]] = {}
        steps: dict[Peer, int] = {}
        for peer, problem in entries:
            missing = peer.missing()
            if missing is not None:
                result.left_out[peer.name] = f"{missing} is not installed"
            elif peer.one_thread and self.threads > 1:
                result.left_out[peer.name] = "runs on one thread only"
            else:
                try:
                    losses[peer] = self.make(peer, problem)
                    steps[peer] = max(1, round(effort.turn / self._once(peer)))
                except LibraryFailedError as error:
                    result.left_out[peer.name] = str(error)
                    if self.process(peer.library).ended():
                        result.left_out |= self._lose(peer, steps)
        result.seconds = {peer.name: [] for peer in steps}
        for _ in range(effort.rounds):
            for peer, own in steps.items():
                warm = 0 if own == 1 else max(1, own // 8)
                result.seconds[peer.name].append(self._run(peer, own, warm))
        for peer in steps:
            self.process(peer.library).ask("drop", key=peer.name)
        result.left_out |= disagreeing(losses)
        return result

    def _run(self, peer: Peer, steps: int, warm: int = 0, clock: str = "seconds") -> float:
        """Seconds a step."""
        answer = self.process(peer.library).ask("run", key=peer.name, steps=steps, warm=warm)
        return float(answer[clock]) / steps

    def _once(self, peer: Peer) -> float:
        """About how long a step takes, with what is not measured."""
        first = self._run(peer, 1, clock="elapsed")
        return max(self._run(peer, max(1, int(0.005 / first)), clock="elapsed"), 1e-7)

    def _lose(self, peer: Peer, steps: dict[Peer, int]) -> dict[str, str]:
        """End the process that a peer has broken, for all who share it."""
        self.stop(peer.library)
        lost = [other for other in steps if other.library == peer.library]
        for other in lost:
            del steps[other]
        return {other.name: f"{peer.name} ended the process they share" for other in lost}


def disagreeing(losses: Mapping[Peer, Sequence[float]]) -> dict[str, str]:
    """Contenders that train something else than the first one: other losses before or after some steps."""
    found: dict[str, str] = {}
    if not losses:
        return found
    first, (start, end) = next(iter(losses.items()))
    for peer, (own_start, own_end) in losses.items():
        if not math.isclose(own_start, start, rel_tol=1e-4):
            found[peer.name] = f"its loss begins at {own_start:.6g}, that of {first.name} at {start:.6g}"
        elif peer.alike and not math.isclose(own_start - own_end, start - end, rel_tol=0.05, abs_tol=1e-5):
            falls = f"its loss falls by {own_start - own_end:.3g}, that of {first.name} by {start - end:.3g}"
            found[peer.name] = falls
    return found
