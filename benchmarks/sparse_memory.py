"""Memory of a sparse network in training, measured as resident set, against what it has to hold.

    python benchmarks/sparse_memory.py [width [density]]

The network has three hidden layers of `width` units between 3072 inputs and 10 classes; the model is
12 bytes a weight for its value and its places, the optimizer's states, and activations and their
gradients for a batch of 100.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

BATCH = 100


def resident(kind: str) -> int:
    """VmRSS or VmHWM of this process, bytes."""
    line = next(l for l in Path("/proc/self/status").read_text().splitlines() if l.startswith(kind))
    return int(line.split()[1]) * 1024


def main(width: int = 32768, density: float = 0.01) -> None:
    """Build, train three steps, print the table."""
    from gradwright import MLP
    from gradwright.backends import cpp  # noqa: F401  so that its code is in the baseline
    from gradwright.generated.cpp import momentum  # noqa: F401

    X = np.random.default_rng(0).normal(size=(BATCH, 3072)).astype(np.float32)
    y = np.arange(BATCH) % 10
    before = resident("VmRSS")
    start = time.perf_counter()
    net = MLP([3072, width, width, width, 10], ["relu", "relu", "relu", "softmax"],
              density=density, optimizer="momentum")  # fmt: skip
    built, peak_built = time.perf_counter() - start, resident("VmHWM")
    engine = net.backend
    order, rates = np.tile(np.arange(BATCH), 3), np.full(3, 1e-3)
    engine.epoch(X, y, order, BATCH, rates)
    start = time.perf_counter()
    engine.epoch(X, y, order, BATCH, rates)
    step = (time.perf_counter() - start) / 3
    peak = resident("VmHWM")
    count = sum(layer.count for layer in net.specification.layers)
    activations = 4 * BATCH * (3072 + 2 * (3 * width + 10))
    model = 16 * count + activations
    mega = 1e6
    print(f"{count / mega:.1f} M weights; built in {built:.1f} s, a step {step * 1e3:.0f} ms")
    print(f"baseline {before / mega:.0f} MB, peak while building {peak_built / mega:.0f} MB")
    print(f"peak {peak / mega:.0f} MB, without baseline {(peak - before) / mega:.0f} MB")
    print(f"model {model / mega:.0f} MB: {(peak - before) / model:.2f} times, in all {peak / model:.2f}")


if __name__ == "__main__":
    main(*(float(a) if "." in a else int(a) for a in sys.argv[1:]))
