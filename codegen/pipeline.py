"""The whole way: scripts in, a verified tree of generated files out.

Input: scripts, names, targets. Output: `Result`, the texts of all files and what was verified.
Nothing is written here before everything is proved; `tree` writes it in one step.
"""

from __future__ import annotations

import multiprocessing
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from gradwright.composition import compose

from .derivation import Derivation, derive_all
from .errors import NotationError, unknown_layer
from .gain_table import render_gains
from .gains import Gain, find_gains
from .inputs import built_in_scripts
from .network import derive_network, reject_mutants
from .notation import Layer
from .optimizer import Optimizer, OptimizerDerivation, derive_optimizer, verify_optimizer
from .report import render_reports
from .report.network import render_network
from .scripts import Item, load_script
from .shipped_networks import SHIPPED, ShippedNetwork
from .targets import TARGETS, backends_of
from .verification import verify

AnyDerivation = Derivation | OptimizerDerivation


@dataclass(frozen=True)
class Outcome:
    """One derived and verified layer or optimizer; `seconds` is wall time of its worker."""

    derivation: AnyDerivation
    sources: dict[str, dict[str, str]]
    verification: dict[str, Any]
    seconds: float
    gains: tuple[Gain, ...] = ()

    @property
    def name(self) -> str:
        return self.derivation.name


@dataclass(frozen=True)
class Result:
    """All files by relative path, and the outcomes in the order of the scripts."""

    files: dict[str, str]
    outcomes: tuple[Outcome, ...]
    seconds: float


@dataclass(frozen=True)
class Task:
    script: Path
    name: str


@dataclass
class Request:
    """What to derive: scripts (default: those that come with Gradwright), names, targets."""

    scripts: list[Path] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    targets: tuple[str, ...] = ("numpy", "cpp")
    jobs: int = 2

    def networks(self) -> tuple[ShippedNetwork, ...]:
        """Pages of whole networks belong to the whole built-in tree."""
        return () if self.scripts or self.names else SHIPPED

    def tasks(self) -> list[Task]:
        """One task for each layer; unknown names are an error that lists the known ones."""
        scripts = self.scripts or built_in_scripts()
        tasks = [Task(path, item.name) for path in scripts for item in load_script(path)]
        _refuse_duplicates(tasks)
        known = [task.name for task in tasks]
        for name in self.names:
            if name not in known:
                raise unknown_layer(name, known)
        return [t for t in tasks if not self.names or t.name in self.names]


def _refuse_duplicates(tasks: list[Task]) -> None:
    seen: dict[str, Path] = {}
    for task in tasks:
        if task.name in seen:
            raise NotationError(
                f"{task.name} is defined in {seen[task.name].name} and in {task.script.name}; "
                "rename one of them"
            )
        seen[task.name] = task.script


def run(request: Request, progress: Callable[[Outcome], None] | None = None) -> Result:
    """Derive, verify and render. Work is spread over processes; results keep the scripts' order."""
    start = time.perf_counter()
    tasks = request.tasks()
    outcomes, pages = _work(tasks, request, progress or (lambda _: None))
    networks = [(found.name, found.title) for found in request.networks()]
    files = render(outcomes, request.targets, networks) | pages
    return Result(dict(sorted(files.items())), tuple(outcomes), time.perf_counter() - start)


def _work(
    tasks: list[Task], request: Request, progress: Callable[[Outcome], None]
) -> tuple[list[Outcome], dict[str, str]]:
    """The outcomes in the order of the tasks, and the pages of networks."""
    found: dict[Task, list[Outcome]] = {}
    pages: dict[str, str] = {}
    networks = request.networks()
    if request.jobs <= 1 or len(tasks) <= 1:
        for task in tasks:
            found[task] = process(task, request.targets)
            for outcome in found[task]:
                progress(outcome)
        for network in networks:
            pages |= process_network(network)
    else:
        context = multiprocessing.get_context("spawn")
        with ProcessPoolExecutor(min(request.jobs, len(tasks)), context) as pool:
            drawn = [pool.submit(process_network, network) for network in networks]
            futures = {pool.submit(process, task, request.targets): task for task in tasks}
            try:
                for future in as_completed(futures):
                    found[futures[future]] = future.result()
                    for outcome in found[futures[future]]:
                        progress(outcome)
                for page in drawn:
                    pages |= page.result()
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise
    return [outcome for task in tasks for outcome in found[task]], pages


def process_network(network: ShippedNetwork) -> dict[str, str]:
    """Derive and prove a whole network; the files of its report."""
    specification = network.specification
    found = derive_network(compose(specification), network.name, network.title)
    items = (item for path in built_in_scripts() for item in load_script(path))
    rule = next(
        i for i in items if isinstance(i, Optimizer) and i.name == specification.optimizer
    )
    mutants = reject_mutants(found)
    pages = render_network(found, specification, derive_optimizer(rule), network.batch, mutants)
    return {f"reports/{path}": text for path, text in pages.items()}


def process(task: Task, targets: Iterable[str]) -> list[Outcome]:
    """Derive, render and verify one item of a script; a layer with facts gives variants too."""
    item = next(i for i in load_script(task.script) if i.name == task.name)
    return [_finish(made, tuple(targets)) for made in _derivations(item)]


def _derivations(item: Item) -> list[Callable[[], AnyDerivation]]:
    if isinstance(item, Layer):
        found = derive_all(item)
        return [lambda d=d: d for d in found]  # type: ignore[misc]
    return [lambda: derive_optimizer(item)]


def _finish(make: Callable[[], AnyDerivation], targets: tuple[str, ...]) -> Outcome:
    start = time.perf_counter()
    derivation = make()
    sources = {name: TARGETS[name].render(derivation) for name in targets}
    backends = backends_of(derivation, sources)
    gains: tuple[Gain, ...] = ()
    if isinstance(derivation, OptimizerDerivation):
        verification = verify_optimizer(derivation, backends)
    else:
        verification = verify(derivation, backends)
        gains = find_gains([derivation.program])
    return Outcome(derivation, sources, verification, time.perf_counter() - start, gains)


def render(
    outcomes: list[Outcome], targets: Iterable[str], networks: Iterable[tuple[str, str]] = ()
) -> dict[str, str]:
    """Every generated file by relative path, except the manifest."""
    files = {"__init__.py": '"""Generated by Gradwright: kernels, reports and their manifest."""\n'}
    derivations = [outcome.derivation for outcome in outcomes]
    for target in targets:
        for outcome in outcomes:
            files |= {f"{target}/{p}": t for p, t in outcome.sources[target].items()}
        package = TARGETS[target].render_package(derivations)
        files |= {f"{target}/{path}": text for path, text in package.items()}
    items = [(o.derivation, o.verification, _main_sources(o)) for o in outcomes]
    gains = [gain for outcome in outcomes for gain in outcome.gains]
    reports = render_reports(items, networks, gains)
    files |= {f"reports/{path}": text for path, text in reports.items()}
    if gains:
        files["gains.py"] = render_gains(gains)
    return dict(sorted(files.items()))


def _main_sources(outcome: Outcome) -> dict[str, str]:
    """The one file a reader looks at for each target."""
    found = {}
    for target, files in outcome.sources.items():
        suffix = TARGETS[target].suffix
        found[target] = files[f"{outcome.name}{suffix}"]
    return found
