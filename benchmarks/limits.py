"""The machine's own limits, measured by limits.cpp, and the least time they leave a training step."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from .peers.problem import Problem

Limits = Mapping[str, float]  # operations or bytes a second; sizes of the caches in bytes
_ASSUMED = {"L1": 32 << 10, "L2": 1 << 20, "L3": 32 << 20}


def caches(cpu: int) -> dict[str, int]:
    """Bytes of a core's first- and second-level caches and of the third one, as the system says."""
    found = dict(_ASSUMED)
    for cache in Path(f"/sys/devices/system/cpu/cpu{cpu}/cache").glob("index*"):
        if (cache / "type").read_text().strip() != "Instruction":
            size = (cache / "size").read_text().strip()
            units = {"K": 1 << 10, "M": 1 << 20}
            found["L" + (cache / "level").read_text().strip()] = int(size[:-1]) * units[size[-1]]
    return found


def measure(cpus: Sequence[int], seconds: float = 0.05) -> dict[str, float]:
    """What the given cores do together at most."""
    compiler = os.environ.get("CXX") or shutil.which("g++") or "c++"
    size = caches(cpus[0])
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "limits"
        flags = ["-std=c++17", "-O3", "-march=native", "-ffp-contract=fast", "-pthread"]
        source = Path(__file__).with_name("limits.cpp")
        subprocess.run([compiler, *flags, source, "-o", program], check=True)
        arguments = [seconds, *(size[level] for level in ("L1", "L2", "L3")), *cpus]
        done = subprocess.run(
            [program, *map(str, arguments)], check=True, capture_output=True, text=True
        )
    found: dict[str, float] = json.loads(done.stdout)
    return found | {f"{level} bytes": float(bytes_) for level, bytes_ in size.items()}


def operations(problem: Problem) -> float:
    """Floating-point operations that a step needs: products with weights that exist.

    Forward, gradient of the weights and gradient of the activations; the first layer has no use for
    the last one.
    """
    own = [problem.density * K * D for K, D in problem.shapes]
    return 2.0 * problem.batch * (3 * sum(own) - own[0])


def least(problem: Problem, limits: Limits) -> float:
    """Seconds that no step can stay below: its operations, or moving its weights once for each use.

    Weights are read in the forward pass, and read and changed in the backward pass (Adam's states
    too), from the cache that all of them fit in; indices take 16 bits. Operands of sparse products
    come from the first cache at best.
    """
    sparse, arrays = problem.density < 1, 3 if problem.optimizer == "adam" else 1
    index = 2 if sparse else 0
    moved = problem.weights * (4.0 + 8.0 * arrays + 2 * index)
    kept = problem.weights * (4.0 * arrays + index)
    own = limits["threads"] * limits["L2 bytes"]
    level = "L2" if kept <= own else "L3" if kept <= limits["L3 bytes"] else "DRAM"
    rate = limits["multiply-add, load" if sparse else "multiply-add"]
    return max(operations(problem) / rate, moved / limits[level])


def second_cache(problem: Problem, limits: Limits) -> float:
    """Seconds to read a feature's activations from the second cache twice for every weight.

    The forward and the backward pass of a sparse layer that keeps no activations in the first cache.
    """
    return 2 * 4.0 * problem.batch * problem.weights / limits["L2"]
