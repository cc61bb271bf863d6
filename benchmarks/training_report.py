"""What the training benchmark found: tables, a JSON file and a picture."""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from . import training
from .timing import bandwidth

Row = dict[str, Any]
ABSENT = ("JAX", "torch.compile", "MKL sparse")  # peers that are not part of this run


def run(console: Console, folder: Path, threads: Sequence[int] = (1, 2)) -> None:
    """Measure everything, show it, and write training.json and training.png to the folder."""
    rows: list[Row] = []
    limits = [machine(count) for count in threads]
    for limit in limits:
        console.print("{threads} thread(s): {multiply_add:.0f} GF/s of sgemm, {copy:.1f} GB/s of a copy"
                      .format(**limit))  # fmt: skip
    for count in threads:
        table = Table(title=f"A training step, dense, float32, {count} thread(s)")
        _fill(console, table, training.measure_dense(count), rows, ("network", "optimizer"))
        table = Table(title=f"A training step, sparse, float32, {count} thread(s)")
        _fill(console, table, training.measure_sparse(count), rows, ("network", "density"))
    console.print(f"Not measured: {', '.join(ABSENT)}.")
    folder.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"limits": limits, "rows": rows, "not measured": ABSENT}, indent=1)
    (folder / "training.json").write_text(text)
    picture(rows, folder / "training.png")


def machine(threads: int) -> dict[str, float]:
    """What the machine can do: dense products, and bytes a second of a large copy."""
    import torch

    torch.set_num_threads(threads)
    A = torch.ones(1024, 1024)
    seconds = statistics.median(
        training.interleaved({"": lambda n: [A @ A for _ in range(n)]}, 0.5)[""]
    )
    return {"threads": threads, "multiply_add": 2 * 1024**3 / seconds / 1e9,
            "copy": bandwidth(threads) / 1e9}  # fmt: skip


def _fill(console: Console, table: Table, found: Any, rows: list[Row], keys: Sequence[str]) -> None:
    for row in found:
        medians = {name: statistics.median(v) for name, v in row["seconds"].items()}
        if not table.columns:
            for key in (*keys, *(f"{name}, us" for name in medians)):
                table.add_column(key, justify="right")
        own = medians["gradwright"]
        cells = [f"{own * 1e6:.0f}"]
        cells += [
            f"{v * 1e6:.0f} ({v / own:.2f} x)" for n, v in medians.items() if n != "gradwright"
        ]
        table.add_row(*(str(row[key]) for key in keys), *cells)
        rows.append(row)
    console.print(table)


def picture(rows: Sequence[Row], path: Path) -> None:
    """Time a step against density, all peers, both axes logarithmic; one thread."""
    from matplotlib.figure import Figure

    own = [row for row in rows if "density" in row and row["threads"] == 1]
    figure = Figure(figsize=(6, 4.5), layout="constrained")
    axes = figure.add_subplot()
    for name in own[0]["seconds"] if own else ():
        y = [statistics.median(row["seconds"][name]) * 1e3 for row in own]
        spread = np.array([np.percentile(row["seconds"][name], [25, 75]) * 1e3 for row in own]).T
        x = [row["density"] for row in own]
        axes.plot(x, y, marker="o", label=name)
        axes.fill_between(x, *spread, alpha=0.2)
    axes.set(xscale="log", yscale="log", xlabel="density", ylabel="milliseconds a step",
             title="3072-1024-512-10, batch 100, one thread")  # fmt: skip
    axes.grid(True, which="both", alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=150)
