"""Pictures of the training benchmark, and straight lines through what should grow linearly."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from .peers import OURS
from .training import Row

_GROWTH = {"weights": "weights", "batch": "samples of a batch"}


@dataclass(frozen=True)
class Line:
    """seconds = start + slope x, fitted to relative errors; `off` is the largest of these."""

    start: float
    slope: float
    off: float


def fit(x: Sequence[float], seconds: Sequence[float]) -> Line:
    """The line with start >= 0 that is nearest in relative terms."""
    X, T = np.array(x, float), np.array(seconds, float)
    columns = np.stack([1 / T, X / T], axis=1)
    (start, slope), *_ = np.linalg.lstsq(columns, np.ones(len(T)))
    if start < 0:
        start, slope = 0.0, float((X / T).sum() / ((X / T) ** 2).sum())
    off = np.abs((start + slope * X) / T - 1).max()
    return Line(float(start), float(slope), float(off))


def growth(rows: Sequence[Row]) -> tuple[list[float], list[float]]:
    """What grows, and the seconds of a step."""
    x = [float(row.what["batch"] if row.table == "batch" else row.weights) for row in rows]
    return x, [row.median(OURS.name) for row in rows]


def fits(rows: Sequence[Row]) -> list[str]:
    """Sentences about tables of growth."""
    if not rows or rows[0].table not in _GROWTH:
        return []
    x, seconds = growth(rows)
    line, what = fit(x, seconds), _GROWTH[rows[0].table]
    slope = np.polyfit(np.log(x), np.log(seconds), 1)[0]
    sentence = (
        f"{x[-1] / x[0]:.0f} times as many {what}: {seconds[-1] / seconds[0]:.0f} times the time; "
        f"{line.start * 1e6:.0f} us + {line.slope * 1e9:.3f} ns for each, off by {line.off:.0%} at most; "
        f"exponent {slope:.2f}"
    )
    return [sentence]


def draw(rows: Sequence[Row], path: Path) -> None:
    """Time a step against density for all peers, or against what grows; both axes logarithmic."""
    if not rows or rows[0].table not in ("sparse", *_GROWTH) or importlib.util.find_spec("matplotlib") is None:
        return
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 5), layout="constrained")
    axes = figure.add_subplot()
    threads = f"{rows[0].threads} thread" + "s" * (rows[0].threads > 1)
    if rows[0].table == "sparse":
        network = rows[0].what["network"]
        shown = [row for row in rows if row.what["network"] == network]
        for name in dict.fromkeys(n for row in shown for n in row.seconds):
            own = [row for row in shown if name in row.seconds]
            x = [row.what["density"] for row in own]
            quartiles = np.array([np.percentile(row.seconds[name], [25, 50, 75]) * 1e3 for row in own]).T
            if len(own) == 1 < len(shown):  # the same at every density
                axes.axhline(quartiles[1][0], linestyle=":", color=axes.plot([], [], ":", label=name)[0].get_color())
                continue
            ours = name.startswith(OURS.name)
            axes.plot(x, quartiles[1], marker="o", markersize=4, linewidth=2 if ours else 1, label=name)
            axes.fill_between(x, quartiles[0], quartiles[2], alpha=0.2)
        axes.set(xlabel="density", title=f"A training step of {network}, {threads}")
        axes.invert_xaxis()
    else:
        points, seconds = growth(rows)
        line, what = fit(points, seconds), _GROWTH[rows[0].table]
        axes.plot(points, np.array(seconds) * 1e3, "o", label="measured")
        smooth = np.geomspace(points[0], points[-1], 200)
        axes.plot(smooth, (line.start + line.slope * smooth) * 1e3,
                  label=f"{line.start * 1e6:.0f} us + {line.slope * 1e9:.3g} ns x")  # fmt: skip
        axes.set(xlabel=what, title=f"A training step of {rows[0].what['network']}, {threads}")
    axes.set(xscale="log", yscale="log", ylabel="milliseconds a step")
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=150)
