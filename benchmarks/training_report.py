"""What the training benchmark found: tables, a JSON file and pictures."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.table import Table

from . import limits, memory, pictures, training
from .contest import Arena
from .peers import OURS
from .training import Row, Wanted

_TITLES = {
    "dense": "A training step, dense, float32",
    "sparse": "A training step, sparse, float32, gradient descent",
    "weights": "Growth with the number of weights",
    "batch": "Growth with the batch",
    "rewiring": "A prune-and-grow step against a training step",
}
_CAPTION = "Microseconds a step, medians; how many times faster ours is; in brackets quartiles over the rounds."
_CAPTION_OF_MOVES = "Microseconds a step or move, medians; steps a move takes; in brackets quartiles over the rounds."
_SHARES = {"least": "least time of the machine / ours", "second cache": "reading the second cache / ours"}


def run(console: Console, folder: Path, tables: Sequence[str], threads: Sequence[int],
        wanted: Wanted) -> None:  # fmt: skip
    """Measure, show, and write <table>.json and <table>-<threads>.png to the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    rows: dict[str, list[Row]] = {name: [] for name in tables}
    machine = []
    for count in threads:
        with Arena(count) as arena:
            found = limits.measure(arena.cpus)
            machine.append(found)
            _show_machine(console, found)
            for name in tables:
                own = list(training.TABLES[name](arena, found, wanted))
                rows[name] += own
                _show(console, f"{_TITLES[name]}, {count} thread(s)", own)
                pictures.draw(own, folder / f"{name}-{count}.png")
    for name, found_rows in rows.items():
        content = {"limits": machine, "rows": [asdict(row) for row in found_rows]}
        (folder / f"{name}.json").write_text(json.dumps(content, indent=1))
    console.print(f"Written to {folder}")


def run_memory(console: Console, folder: Path, networks: Sequence[str]) -> None:
    """Show and write to memory.json what training takes at a density of 0.01."""
    folder.mkdir(parents=True, exist_ok=True)
    table = Table(title="Peak resident memory of training at density 0.01, MB beyond the imports")
    for column in ("network", "optimizer", "weights", "needed", "measured", "times"):
        table.add_column(column, justify="right")
    found = []
    for network in networks:
        for optimizer in ("gradient_descent", "momentum", "adam"):
            peak = memory.measure(network, optimizer)
            found.append(asdict(peak))
            shown = (peak.why, "") if peak.measured is None else (
                f"{peak.measured / 1e6:.1f}", f"{peak.measured / peak.needed:.2f}")  # fmt: skip
            sizes = "-".join(map(str, memory.NETWORKS[network][0]))
            table.add_row(sizes, optimizer, f"{peak.weights:,}", f"{peak.needed / 1e6:.1f}", *shown)
    console.print(table)
    (folder / "memory.json").write_text(json.dumps(found, indent=1))


def _show_machine(console: Console, found: Mapping[str, float]) -> None:
    rates = ", ".join(f"{level} {found[level] / 1e9:.1f}" for level in ("L1", "L2", "L3", "DRAM"))
    console.print(
        f"{found['threads']:.0f} thread(s): {found['multiply-add'] / 1e9:.0f} GF/s of multiply-adds, "
        f"{found['multiply-add, load'] / 1e9:.0f} with an operand from L1; GB/s read: {rates}"
    )


def _show(console: Console, title: str, rows: Sequence[Row]) -> None:
    """A column for every measurement, a line for every contender; what is the same everywhere is title."""
    told = [{k: _text(v) for k, v in (row.what | {"weights": row.weights}).items()} for row in rows]
    same = [k for k in told[0] if len(rows) > 1 and len({own[k] for own in told}) == 1]
    title = ", ".join([title, *(told[0][k] if k == "network" else f"{k} {told[0][k]}" for k in same)])
    caption = _CAPTION_OF_MOVES if rows[0].table == "rewiring" else _CAPTION
    table = Table(title=title, caption=caption, caption_justify="left")
    table.add_column("\n".join(k for k in told[0] if k not in same))
    for own in told:
        table.add_column("\n".join(v for k, v in own.items() if k not in same), justify="right")
    for name in dict.fromkeys(name for row in rows for name in row.seconds):
        table.add_row(name, *(_cell(row, name) for row in rows))
    for limit in rows[0].limits:
        shares = (row.limits[limit] / row.median(OURS.name) for row in rows)
        table.add_row(_SHARES[limit], *(f"{share:.0%}" for share in shares))
    console.print(table)
    left_out = dict.fromkeys((n, why) for row in rows for n, why in row.left_out.items())
    for name, why in left_out:
        state = "Doubtful" if any(name in row.seconds for row in rows) else "Left out"
        console.print(f"{state}: {name}: {why}")
    for line in pictures.fits(rows):
        console.print(line)


def _text(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _cell(row: Row, name: str) -> str:
    if name not in row.seconds:
        return ""
    if name != OURS.name:
        low, middle, high = row.ratio(name)
        return f"{row.median(name) * 1e6:,.0f}\n{middle:.2f}x ({low:.2f}..{high:.2f})"
    times = sorted(row.seconds[name])
    low, high = times[len(times) // 4], times[-1 - len(times) // 4]
    return f"{row.median(name) * 1e6:,.0f}\n({low * 1e6:,.0f}..{high * 1e6:,.0f})"
