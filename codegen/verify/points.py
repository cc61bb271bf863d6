"""Random points at which a program has a value: residues and real values for every symbol.

Input: a program, sizes and a seeded generator. Output: a `Point`. Guaranteed: the forward
pass has a value there (its roots are of squares, nothing is divided by zero), the program's
facts hold exactly, and a drawn entry is a square exactly where its real value is positive.
Residues of different entries and levels are independent and uniform up to these conditions.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .. import expression as ex
from ..errors import UnsupportedPrimitive
from ..program import Fact, Program
from .evaluate import Evaluation
from .fields import REALS, RESIDUES, Array, Field, NoValueError, Residues, ZeroDivisorError

_PATIENCE = 300
_SUMS = {"rows_sum": 1, "rows_mean": 1, "columns_sum": 0, "columns_mean": 0}


@dataclass(frozen=True)
class Point:
    """Sizes, and an array for every level and symbol."""

    sizes: dict[str, int]
    symbols: dict[int, dict[str, Array]]

    def evaluation(self) -> Evaluation:
        return Evaluation(self.sizes, self.symbols)


@dataclass(frozen=True)
class _Slot:
    """A symbol to fill: its shape, whether it is positive, and the bound of its real values."""

    name: str
    shape: ex.Shape
    positive: bool = False
    bound: float | None = None


def slots_of(program: Program) -> list[_Slot]:
    """The inputs, the upstream gradient and a loss's scale."""
    found = []
    for item in program.inputs:
        positive = item.domain in ("positive", "nonnegative", "unit", "share") or item.role == "target"
        bound = 0.9 if item.domain in ("unit", "share") or item.role == "target" else None
        found.append(_Slot(item.name, item.shape, positive, bound))
    found.append(_Slot(program.upstream, program.output.shape))
    found.append(_Slot("scale", ("1", "1"), positive=True))
    return found


def draw_point(program: Program, sizes: dict[str, int], rng: random.Random) -> Point | None:
    """A point where the forward pass has a value; None where none was found."""
    slots = slots_of(program)
    point = Point(sizes, {})
    for field in RESIDUES:
        point.symbols[field.level] = {}
    point.symbols[REALS.level] = {}
    _draw_reals(program, point, slots, rng)
    for slot in slots:
        _draw_residues(point, slot, rng)
    _impose(point, program.facts)
    try:
        return _repaired(program, point, slots, rng)
    except ZeroDivisorError:
        return None


def _draw_reals(program: Program, point: Point, slots: Sequence[_Slot], rng: random.Random) -> None:
    """Both signs and several magnitudes if the forward pass is real there, else positive values."""
    reals = point.symbols[REALS.level]
    for attempt in ("any", "any", "positive", "unit"):
        for slot in slots:
            rows, cols = _numbers(point, slot.shape)
            values = np.array([[_draw_real(slot, attempt, rng) for _ in range(cols)]
                               for _ in range(rows)])  # fmt: skip
            reals[slot.name] = values
        with np.errstate(all="ignore"):
            if np.all(np.isfinite(point.evaluation().value(program.output, REALS))):
                return


def _draw_real(slot: _Slot, attempt: str, rng: random.Random) -> float:
    bound = 0.9 if attempt == "unit" else slot.bound
    size = rng.uniform(0.05, bound) if bound else 10.0 ** rng.uniform(-1.0, 0.9)
    negative = attempt == "any" and not slot.positive and rng.random() < 0.5
    return -size if negative else size


def _draw_residues(point: Point, slot: _Slot, rng: random.Random) -> None:
    reals = point.symbols[REALS.level][slot.name]
    for field in RESIDUES:
        values = np.empty(reals.shape, dtype=object)
        for place in np.ndindex(*reals.shape):
            values[place] = _draw_residue(field, bool(reals[place] > 0), rng)
        point.symbols[field.level][slot.name] = values


def _draw_residue(field: Residues, positive: bool, rng: random.Random) -> int:
    square = pow(rng.randrange(1, field.prime), 2, field.prime)
    return square if positive else field.prime - square


def _numbers(point: Point, shape: ex.Shape) -> tuple[int, int]:
    return tuple(1 if d == "1" else point.sizes[d] for d in shape)  # type: ignore[return-value]


def _impose(point: Point, facts: Sequence[Fact]) -> None:
    """Make the sums that facts speak of exact: the last entry of a residue sum takes the rest."""
    for fact in facts:
        matrix = fact.left.args[0] if fact.left.op in _SUMS else None
        if matrix is None or matrix.op != "symbol":
            raise UnsupportedPrimitive(
                f"the fact {fact.name} is not about rows_sum or columns_sum of an input; "
                "add it to verify.points"
            )
        for level, symbols in point.symbols.items():
            field = REALS if level < 0 else RESIDUES[level]
            evaluation = point.evaluation()
            wanted = evaluation.value(fact.right, field)
            found = evaluation.value(fact.left, field)
            values = symbols[str(matrix.attr)]
            if level < 0:
                symbols[str(matrix.attr)] = values * (wanted / found)
                continue
            axis = _SUMS[fact.left.op]
            factor = values.shape[axis] if fact.left.op.endswith("mean") else 1
            last = (slice(None), slice(-1, None)) if axis else (slice(-1, None), slice(None))
            values[last] = field.reduce(values[last] + (wanted - found) * factor)


def _repaired(
    program: Program, point: Point, slots: Sequence[_Slot], rng: random.Random
) -> Point | None:
    """Redraw one entry at a time while a root is missing; keep what is no worse."""
    used = set(ex.symbols_of(program.output))
    places = [
        (slot.name, place)
        for slot in slots
        if slot.name in used
        for place in np.ndindex(*_numbers(point, slot.shape))
    ]
    progress, patience = _progress(program, point), _PATIENCE
    while progress is not None and patience:
        name, place = rng.choice(places)
        before = {f.level: point.symbols[f.level][name].copy() for f in RESIDUES}
        for field in RESIDUES:
            positive = bool(point.symbols[REALS.level][name][place] > 0)
            point.symbols[field.level][name][place] = _draw_residue(field, positive, rng)
        _impose(point, program.facts)
        now = _progress(program, point)
        patience = _PATIENCE if now is None or now > progress else patience - 1
        if now is not None and now < progress:
            for field in RESIDUES:
                point.symbols[field.level][name] = before[field.level]
        else:
            progress = now
    return point if progress is None else None


def _progress(program: Program, point: Point) -> tuple[int, int] | None:
    """How far the forward pass comes, and how many entries stop it; None if it comes through."""
    evaluation = point.evaluation()
    passed = 0
    try:
        for node in ex.topological(program.output):
            evaluation.value(node)
            passed += 1
    except NoValueError as stopped:
        return passed, -stopped.count
    return None


def random_direction(shape: tuple[int, int], field: Residues, rng: random.Random) -> Array:
    values = np.empty(shape, dtype=object)
    for place in np.ndindex(*shape):
        values[place] = rng.randrange(field.prime)
    return values


def unit_direction(shape: tuple[int, int], place: tuple[int, ...], field: Field) -> Array:
    values = np.full(shape, field.number(0), dtype=float if field is REALS else object)
    values[place] = field.number(1)
    return values
