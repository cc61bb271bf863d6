"""`make bench`: every figure in one run, on a quiet machine, peers interleaved with ours."""

from __future__ import annotations

import argparse
import os
import platform
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import arrays, kernels, memory, networks, training, training_report
from .contest import QUICK, Effort
from .timing import bandwidth


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("part", nargs="?", choices=("kernels", "numpy", "networks", "training", "memory", "all"),
                        default="all")  # fmt: skip
    parser.add_argument("tables", nargs="*", metavar="table",
                        help=f"of training, any of {', '.join(training.TABLES)}; default: all")  # fmt: skip
    parser.add_argument("--threads", nargs="+", type=int, default=[1, 2])
    parser.add_argument("--networks", nargs="+", choices=training.NETWORKS, default=(),
                        help="of the tables dense, sparse and rewiring")  # fmt: skip
    parser.add_argument("--densities", nargs="+", type=float, default=training.DENSITIES)
    parser.add_argument("--optimizers", nargs="+", choices=training.OPTIMIZERS,
                        default=training.OPTIMIZERS)  # fmt: skip
    parser.add_argument("--peers", nargs="+", default=(), help="names or parts of names; default: all")
    parser.add_argument("--sizes", nargs="+", choices=memory.NETWORKS, default=("cifar", "wide"),
                        help="of the networks of the part memory")  # fmt: skip
    parser.add_argument("--quick", action="store_true", help="fewer and shorter rounds")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks"),
                        help="folder for JSON and pictures")  # fmt: skip
    given = parser.parse_args()
    unknown = set(given.tables) - set(training.TABLES)
    if unknown or (given.tables and given.part != "training"):
        parser.error(f"no such table: {', '.join(sorted(unknown) or given.tables)}")
    part = given.part
    console = Console(width=max(160, Console().width))
    console.print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores")
    if part in ("kernels", "all"):
        _kernels(console)
    if part in ("numpy", "all"):
        _arrays(console)
    if part in ("networks", "all"):
        _networks(console)
    if part in ("training", "all"):
        wanted = training.Wanted(
            given.networks, given.densities, given.optimizers, given.peers,
            QUICK if given.quick else Effort(),
        )  # fmt: skip
        tables = given.tables or list(training.TABLES)
        training_report.run(console, given.out, tables, given.threads, wanted)
    if part in ("memory", "all"):
        training_report.run_memory(console, given.out, given.sizes)


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
