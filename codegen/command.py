"""The commands behind `gradwright derive` and `gradwright show`: progress, tables, writing."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import DriftError, NotationError, unknown_layer
from .inputs import built_in_scripts, input_hashes
from .tree import (
    MANIFEST,
    difference,
    is_current,
    manifest_text,
    read_manifest,
    write_among,
    write_tree,
)

ALL_TARGETS = ("numpy", "cpp")


@dataclass(frozen=True)
class DeriveOptions:
    """What the command line asked for."""

    what: tuple[str, ...] = ()
    out: Path | None = None
    targets: tuple[str, ...] = ()
    check: bool = False
    jobs: int = 2
    as_json: bool = False


def generated_folder() -> Path:
    """The checked-in tree: `generated/` of the repository or of the installed package."""
    import gradwright.generated

    return Path(next(iter(gradwright.generated.__path__)))


def derive(options: DeriveOptions) -> int:
    """Run `gradwright derive`; returns the exit status or raises a GradwrightError."""
    for target in options.targets:
        if target not in ALL_TARGETS:
            raise NotationError(f"no target {target}; known: {', '.join(ALL_TARGETS)}")
    scripts = [Path(w) for w in options.what if w.endswith(".py")]
    names = [w for w in options.what if not w.endswith(".py")]
    if scripts:
        return _derive_own(options, scripts, names)
    if options.out is not None:
        raise NotationError("--out is for own scripts: gradwright derive my_layer.py --out FOLDER")
    if options.targets:
        raise NotationError("--target is for own scripts; the built-in layers have all targets")
    return _derive_built_in(options, names)


def _derive_own(options: DeriveOptions, scripts: list[Path], names: list[str]) -> int:
    if options.out is None:
        raise NotationError(
            f"where to? gradwright derive {' '.join(map(str, scripts))} --out my_package/kernels"
        )
    targets = options.targets or ALL_TARGETS
    files, rows, seconds = _run(options, scripts, names, targets)
    if "cpp" in targets:
        files |= _runtime_headers()
    files[MANIFEST] = manifest_text(input_hashes(scripts), files)
    if options.check:
        return _check(options.out, files, rows, seconds, options)
    changed = write_among(options.out, files)
    _finish(rows, seconds, options, changed, options.out / "reports" / "index.html")
    return 0


def _runtime_headers() -> dict[str, str]:
    """The runtime headers, so that the folder compiles alone."""
    from gradwright.headers import include_directories

    folder = include_directories()[0] / "gradwright"
    return {f"cpp/gradwright/{p.name}": p.read_text() for p in sorted(folder.glob("*.hpp"))}


def _derive_built_in(options: DeriveOptions, names: list[str]) -> int:
    root = generated_folder()
    hashes = input_hashes(built_in_scripts())
    if not options.check and not names and is_current(root, hashes):
        rows = _stored_rows(root)
        _finish(rows, None, options, [], root / "reports" / "index.html")
        return 0
    files, rows, seconds = _run(options, [], names, ALL_TARGETS)
    if names:
        files = _merged(root, files, set(rows))
    else:
        files[MANIFEST] = manifest_text(hashes, files)
    if options.check:
        return _check(root, files, rows, seconds, options)
    changed = write_tree(root, files)
    _finish(rows, seconds, options, changed, root / "reports" / "index.html")
    return 0


def _merged(root: Path, files: dict[str, str], names: set[str]) -> dict[str, str]:
    """The tree with some layers replaced; files about all layers stay as they are."""
    present = read_manifest(root).get("outputs")
    if not isinstance(present, dict):
        raise NotationError("there is no complete tree yet; run `gradwright derive` without names")
    merged = {path: (root / path).read_text() for path in present if (root / path).is_file()}
    merged |= {p: text for p, text in files.items() if Path(p).name.split(".")[0] in names}
    inputs = read_manifest(root).get("inputs")
    merged[MANIFEST] = manifest_text(inputs if isinstance(inputs, dict) else {}, merged)
    return merged


def _check(
    root: Path,
    files: dict[str, str],
    rows: dict[str, dict[str, Any]],
    seconds: float,
    options: DeriveOptions,
) -> int:
    found = difference(root, files)
    if found:
        command = " ".join(["gradwright derive", *options.what])
        if options.out is not None:
            command += f" --out {options.out}"
        raise DriftError(f"{root} is out of date; `{command}` mends it\n{found}")
    _finish(rows, seconds, options, [], root / "reports" / "index.html")
    return 0


def _run(
    options: DeriveOptions, scripts: list[Path], names: list[str], targets: tuple[str, ...]
) -> tuple[dict[str, str], dict[str, dict[str, Any]], float]:
    from .pipeline import Outcome, Request, run

    start = time.perf_counter()
    request = Request(scripts, names, targets, options.jobs)
    rows: dict[str, dict[str, Any]] = {}
    with _Progress(options) as progress:

        def done(outcome: Outcome) -> None:
            progress.advance(outcome.name)

        progress.start(len(request.tasks()))
        result = run(request, done)
    for outcome in result.outcomes:
        gradients = [f"D{name}" for name, _ in getattr(outcome.derivation, "gradients", ())]
        rows[outcome.name] = {
            **outcome.verification,
            "gradients": gradients,
            "seconds": round(outcome.seconds, 3),
        }
    return result.files, rows, time.perf_counter() - start


class _Progress:
    """A bar on a terminal, plain lines elsewhere, nothing with --json."""

    def __init__(self, options: DeriveOptions) -> None:
        self._quiet = options.as_json
        self._total = 0
        self._done = 0
        self._bar: Any = None

    def __enter__(self) -> _Progress:
        if not self._quiet and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress

            self._bar = Progress(console=Console(stderr=True), transient=True)
            self._bar.start()
        return self

    def start(self, total: int) -> None:
        self._total = total
        if self._bar is not None:
            self._task = self._bar.add_task("deriving", total=total)

    def advance(self, name: str) -> None:
        self._done += 1
        if self._bar is not None:
            self._bar.update(self._task, completed=self._done, description=name)
        elif not self._quiet:
            print(f"[{self._done}/{max(self._total, self._done)}] {name}", file=sys.stderr)

    def __exit__(self, *error: object) -> None:
        if self._bar is not None:
            self._bar.stop()


def _stored_rows(root: Path) -> dict[str, dict[str, Any]]:
    """Rows of the last run, read from the reports."""
    rows = {}
    for path in sorted((root / "reports").glob("*.json")):
        data = json.loads(path.read_text())
        if "verification" in data:
            gradients = [f"D{g['variable']}" for g in data.get("gradients", [])]
            rows[path.stem] = {**data["verification"], "gradients": gradients}
    return rows


def _finish(
    rows: dict[str, dict[str, Any]],
    seconds: float | None,
    options: DeriveOptions,
    changed: list[str],
    report: Path,
) -> None:
    if options.as_json:
        layers = {n: {k: v for k, v in r.items() if k != "gradients"} for n, r in rows.items()}
        total = round(seconds or 0.0, 3)
        print(json.dumps({"layers": layers, "ok": True, "seconds": total}))
        return
    _print_table(rows)
    killed = sum(r["mutants"]["killed"] for r in rows.values())
    total_mutants = sum(r["mutants"]["total"] for r in rows.values())
    time_text = "nothing to do" if seconds is None else f"{seconds:.1f} s"
    print(
        f"{len(rows)} proved for every size, {killed} of {total_mutants} mutants killed, "
        f"{len(changed)} files changed. Report: {_short(report)}   {time_text}"
    )


def _short(path: Path) -> str:
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def _print_table(rows: dict[str, dict[str, Any]]) -> None:
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    columns = ("layer", "gradients", "P0 shapes", "P1 all sizes", "P2 exact at", "P3 sympy",
               "P4 float64", "P5 edges", "P6 mutants", "ms")  # fmt: skip
    for column in columns:
        table.add_column(column, no_wrap=column != "gradients", justify="left")
    for name, row in rows.items():
        table.add_row(*_cells(name, row))
    width = None if sys.stdout.isatty() else 160
    Console(width=width, soft_wrap=False, highlight=False).print(table)


def _cells(name: str, row: dict[str, Any]) -> tuple[str, ...]:
    floats = [v["float64"] for v in row.get("P4", {}).values() if "float64" in v]
    edges = row.get("P5", {})
    mutants = row["mutants"]
    sizes = " ".join(row["P2"]["sizes"][:3])
    milliseconds = f"{1000 * row['seconds']:.0f}" if "seconds" in row else "-"
    return (
        name,
        " ".join(row["gradients"]),
        str(row["P0"]),
        str(row["P1"]),
        sizes,
        str(row["P3"]["status"]),
        f"{max(floats):.1e}" if floats else "-",
        f"{edges['passed']}/{edges['total']}" if edges else "-",
        f"{mutants['killed']}/{mutants['total']}",
        milliseconds,
    )


def show(name: str, script: Path | None) -> None:
    """Print the derivation of one layer."""
    from .derivation import derive_all
    from .notation import Layer
    from .optimizer import derive_optimizer
    from .report import to_markdown
    from .scripts import load_script

    stored = generated_folder() / "reports" / f"{name}.md"
    if script is None and stored.is_file():
        _print_markdown(stored.read_text())
        return
    scripts = [script] if script is not None else built_in_scripts()
    items = {item.name: item for path in scripts for item in load_script(path)}
    if name not in items:
        raise unknown_layer(name, items)
    item = items[name]
    found = derive_all(item) if isinstance(item, Layer) else [derive_optimizer(item)]
    for derivation in found:
        _print_markdown(to_markdown(derivation))


def _print_markdown(text: str) -> None:
    if sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(text))
    else:
        print(text)


def primitives() -> None:
    """Print every primitive of the notation with its formula."""
    from .primitives import PRIMITIVES

    for primitive in PRIMITIVES.values():
        print(f"{primitive.name:16} {primitive.formula}")
