"""Interleaved timing: contenders take turns, so that a drifting machine is the same for all."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping

import numpy as np

Contender = Callable[[], object]


def interleaved(
    contenders: Mapping[str, Contender], seconds: float = 0.6, rounds: int = 9
) -> dict[str, float]:
    """Median seconds of one call of each contender.

    Every round runs each contender once, in turn; a run repeats the call often enough to be
    measurable and sleeps before the next one, so that spinning threads of one library are idle
    while another one runs.
    """
    repeats = {}
    for name, run in contenders.items():
        run()
        start = time.perf_counter()
        run()
        once = max(time.perf_counter() - start, 1e-7)
        repeats[name] = max(1, int(seconds / rounds / len(contenders) / once))
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    for _ in range(rounds):
        for name, run in contenders.items():
            time.sleep(0.002)
            run()
            start = time.perf_counter()
            for _ in range(repeats[name]):
                run()
            samples[name].append((time.perf_counter() - start) / repeats[name])
    return {name: statistics.median(found) for name, found in samples.items()}


def bandwidth(threads: int) -> float:
    """Bytes a second that a large copy moves, read and written, with the given threads."""
    from concurrent.futures import ThreadPoolExecutor

    source = np.ones(1 << 25, np.float32)
    target = np.empty_like(source)
    parts = np.array_split(np.arange(len(source)), threads)
    slices = [slice(part[0], part[-1] + 1) for part in parts]

    def copy(part: slice) -> None:
        np.copyto(target[part], source[part])

    with ThreadPoolExecutor(threads) as pool:
        found = []
        for _ in range(9):
            start = time.perf_counter()
            list(pool.map(copy, slices))
            found.append(time.perf_counter() - start)
    return 2 * source.nbytes / statistics.median(found)
