"""`make bench`: every figure in one run, on a quiet machine, peers interleaved with ours."""

from __future__ import annotations

import argparse
import importlib.util
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import arrays, kernels, networks
from .timing import bandwidth


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("kernels", "numpy", "networks", "training", "all"),
                        default="all")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"),
                        help="folder for JSON and pictures")  # fmt: skip
    given = parser.parse_args()
    part = given.part
    console = Console(width=120)
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    if part in ("kernels", "all"):
        _kernels(console)
    if part in ("numpy", "all"):
        _arrays(console)
    if part in ("networks", "all"):
        _networks(console)
    if part in ("training", "all"):
        _training(console, given.out)


def _training(console: Console, folder: Path) -> None:
    if importlib.util.find_spec("torch") is None:
        console.print("PyTorch is not installed and left out; `make bench` installs it")
        return
    from . import training_report

    training_report.run(console, folder)


def _kernels(console: Console) -> None:
    try:
        import torch
    except ModuleNotFoundError:
        console.print("PyTorch is not installed and left out; `make bench` installs it")
        return
    for threads in (1, 2):
        rate = bandwidth(threads)
        table = Table(title=f"C++ kernels, float32, {threads} thread(s); a copy moves "
                            f"{rate / 1e9:.1f} GB/s; peer: PyTorch {torch.__version__}")  # fmt: skip
        for column in ("layer", "N x K", "us", "torch us", "over torch", "x least time"):
            table.add_column(column, justify="right")
        for row in kernels.measure(threads):
            ours, theirs = row.seconds["gradwright"], row.seconds["torch"]
            table.add_row(
                row.layer, "{} x {}".format(*row.size), f"{ours * 1e6:.1f}",
                f"{theirs * 1e6:.1f}", f"{row.over_torch:.2f}", f"{row.over_least:.2f}",
            )  # fmt: skip
        console.print(table)


def _arrays(console: Console) -> None:
    table = Table(title="Generated NumPy modules, float32; peer: careful hand-written NumPy")
    for column in ("layer", "N x K", "us", "by hand us", "over by hand", "temporaries / output"):
        table.add_column(column, justify="right")
    for row in arrays.measure():
        ours, theirs = row.seconds["generated"], row.seconds["by hand"]
        table.add_row(
            row.layer, "{} x {}".format(*row.size), f"{ours * 1e6:.1f}", f"{theirs * 1e6:.1f}",
            f"{row.over_hand_written:.2f}", f"{row.temporaries:.2f}",
        )  # fmt: skip
    console.print(table)


def _networks(console: Console) -> None:
    table = Table(title="Training from end to end, float32: MLP.fit and its peers")
    for column in ("network", "peer", "ms", "peer's ms", "times faster", "accuracy", "peer's"):
        table.add_column(column, justify="right")
    for row in networks.measure():
        ours, theirs = (
            "" if row.accuracy[name] != row.accuracy[name] else f"{row.accuracy[name]:.4f}"
            for name in ("gradwright", "peer")
        )
        table.add_row(
            row.what, row.peer, f"{row.seconds['gradwright'] * 1e3:.1f}",
            f"{row.seconds['peer'] * 1e3:.1f}", f"{row.ratio:.1f}", ours, theirs,
        )  # fmt: skip
    console.print(table)


if __name__ == "__main__":
    main()
