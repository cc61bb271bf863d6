"""Routines with fewer passes: in NumPy every N x K operation reads and writes all of its arrays.

Input: a routine. Output: an equal routine. A mean of data that is then subtracted from the data is
found from differences to the first row or column, which the subtraction goes on from. A vector
that multiplies a matrix waits for the next vector that does, or for the sum. A product with a
vector that a sum and another value both need is computed once. Guaranteed: the kernel proves the
statements equal to those they replace, or they are not replaced.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from .. import expression as ex
from .. import index_form as ix
from ..expression import Expr
from ..primitives import Entries
from ..routine import Routine, Statement, width
from ..text import negated

_VECTORS = {"row_repeat": "columns", "column_repeat": "rows"}


@dataclass(frozen=True)
class Rewritten:
    """`shifted` are differences to a first row or column, whose mean needs no further care."""

    routine: Routine
    shifted: frozenset[str]


def with_fewer_passes(routine: Routine) -> Rewritten:
    """The routine as the NumPy target prints it; as it was where the kernel cannot prove them equal."""
    found, shifted = _with_anchors(routine)
    for rewrite in (_with_folded_scales, _with_shared_products, _with_operands, _with_terms):
        found = rewrite(found)
    if not are_equal(routine, found):
        return Rewritten(routine, frozenset())
    return Rewritten(found, frozenset(shifted))


def are_equal(before: Routine, after: Routine) -> bool:
    """Whether every statement that was rewritten has the index normal form it had."""
    kept = {s.name for s in before.statements if s in after.statements}
    old, new = _written_out(before, kept), _written_out(after, kept)
    entry = Entries(opaque=_first_entries(new.values()))
    gaps = (entry(old[n], "a", "b") - entry(new[n], "a", "b") for n in old if n in new)
    return set(before.results) <= kept | set(new) and all(ix.is_zero(gap) for gap in gaps)


def _written_out(routine: Routine, kept: set[str]) -> dict[str, Expr]:
    """The statements that are not kept, by what is kept and given."""
    found: dict[str, Expr] = {}
    known: dict[Expr, Expr] = {}
    for statement in routine.statements:
        if statement.name not in kept:
            value = found[statement.name] = ex.substitute(statement.expr, known)
            known[_symbol(statement)] = value
    return found


def _first_entries(values: Iterable[Expr]) -> dict[Expr, str]:
    """First rows and columns as vectors of their own: what is subtracted may be any vector."""
    nodes = ex.topological(*values)
    return {n: f"{n.op}_{n.args[0].attr}" for n in nodes if n.op.endswith("_first")}


def _fresh(routine: Routine, name: str) -> str:
    taken = {n for n, _ in routine.arguments} | {s.name for s in routine.statements}
    names = (name, *(f"{name}_{i}" for i in range(2, 99)))
    return next(n for n in names if n not in taken)


def _symbol(statement: Statement) -> Expr:
    return ex.symbol(statement.name, statement.shape)


def _before(routine: Routine, place: int, *new: Statement) -> Routine:
    statements = routine.statements
    return replace(routine, statements=(*statements[:place], *new, *statements[place:]))


def _set(routine: Routine, place: int, expr: Expr) -> Routine:
    statements = list(routine.statements)
    statements[place] = Statement(statements[place].name, expr)
    return replace(routine, statements=tuple(statements))


def _with_anchors(routine: Routine) -> tuple[Routine, list[str]]:
    """mu = mean(X) and R = X - mu become S = X - first, drift = mean(S), mu = first + drift and
    R = S - drift: exact for constant data, and no pass is needed for digits that float32 lacks."""
    shifted: list[str] = []
    given = {name for name, _ in routine.arguments}
    for mean in routine.statements:
        over = mean.expr.op.removesuffix("_mean")
        if over not in ("rows", "columns") or over == mean.expr.op:
            continue
        data = mean.expr.args[0]
        if data.attr not in given or width(data.shape) < 2 or width(mean.shape) != 1:
            continue
        repeat = "row_repeat" if over == "columns" else "column_repeat"
        offset = ex.node(repeat, (_symbol(mean),), data.shape)
        centred = [s for s in routine.statements if _difference(s.expr) == (data, offset)]
        if len(centred) != 1:
            continue
        first = ex.node(f"{over}_first", (data,), mean.shape)
        start = Statement(_fresh(routine, "shifted"), _less(data, ex.node(repeat, (first,), data.shape)))
        drift = Statement(_fresh(routine, "drift"), ex.node(mean.expr.op, (_symbol(start),), mean.shape))
        moved = ex.node(repeat, (_symbol(drift),), data.shape)
        place = routine.statements.index(mean)
        routine = _set(routine, routine.statements.index(centred[0]), _less(_symbol(start), moved))
        routine = _set(routine, place, ex.add(first, _symbol(drift)))
        routine = _before(routine, place, start, drift)
        shifted.append(start.name)
    return routine, shifted


def _difference(expr: Expr) -> tuple[Expr, Expr] | None:
    """A and B where the expression is A - B."""
    if expr.op != "add":
        return None
    right = negated(expr.args[1])
    return None if right is None else (expr.args[0], right)


def _less(left: Expr, right: Expr) -> Expr:
    return ex.add(left, ex.hadamard(ex.lift(-1), right))


def _factors(expr: Expr) -> list[Expr]:
    """The factors of a product, repetition not looked through."""
    if expr.op == "hadamard":
        return [f for arg in expr.args for f in _factors(arg)]
    return [expr]


def _product(factors: list[Expr]) -> Expr:
    first, *rest = factors
    for factor in rest:
        first = ex.hadamard(first, factor)
    return first


def _direction(factor: Expr) -> str | None:
    """Along what a repeated vector may leave a sum: a row leaves sums over columns."""
    return _VECTORS.get(factor.op)


def _scaled(expr: Expr) -> tuple[list[Expr], Expr, str] | None:
    """Vectors of one direction and the one matrix they multiply."""
    vectors = [f for f in _factors(expr) if _direction(f)]
    others = [f for f in _factors(expr) if not _direction(f)]
    directions = {_direction(f) for f in vectors}
    if len(others) != 1 or len(directions) != 1 or others[0].op != "symbol" or width(others[0].shape) < 2:
        return None
    direction = directions.pop()
    assert direction is not None
    return vectors, others[0], direction


def _readers(routine: Routine, name: str) -> list[int]:
    return [i for i, s in enumerate(routine.statements) if name in ex.symbols_of(s.expr)]


def _with_folded_scales(routine: Routine) -> Routine:
    for statement in routine.statements:
        found = _scaled(statement.expr)
        if found is None or statement.name in routine.results:
            continue
        vectors, matrix, direction = found
        changed = routine
        for place in reversed(_readers(routine, statement.name)):
            reader = changed.statements[place]
            folded = _folded(changed, reader, _symbol(statement), vectors, matrix, direction)
            if folded is None:
                break
            *new, last = folded
            changed = _before(_set(changed, place, last.expr), place, *new)
        else:
            kept = tuple(s for s in changed.statements if s.name != statement.name)
            routine = replace(changed, statements=kept)
    return routine


def _folded(
    routine: Routine, reader: Statement, scaled: Expr, vectors: list[Expr], matrix: Expr, direction: str
) -> list[Statement] | None:
    """The reader with `vectors` moved to where they cost no pass, or None."""
    if reader.expr.op == f"{direction}_sum":
        factors = _factors(reader.expr.args[0])
        if factors.count(scaled) != 1:
            return None
        inner = _product([matrix if f == scaled else f for f in factors])
        total = ex.node(reader.expr.op, (inner,), reader.shape)
        names = "_".join(dict.fromkeys(ex.symbols_of(inner)))
        summed = Statement(_fresh(routine, f"sum_{names}"), total)
        expr = _product([*(v.args[0] for v in vectors), _symbol(summed)])
        return [summed, Statement(reader.name, expr)]
    if width(reader.shape) < 2:
        return None
    replacement = {}
    for node in _products(reader.expr):
        factors = _factors(node)
        if scaled not in factors:
            continue
        if factors.count(scaled) != 1 or not any(_direction(f) == direction for f in factors):
            return None
        replacement[node] = _product([g for f in factors for g in ([*vectors, matrix] if f == scaled else [f])])
    expr = ex.substitute(reader.expr, replacement)
    return None if scaled in ex.topological(expr) else [Statement(reader.name, expr)]


def _products(expr: Expr) -> Iterator[Expr]:
    """The largest products in an expression."""
    if expr.op == "hadamard":
        yield expr
        inner = [f for f in _factors(expr) if f.op != "hadamard"]
    else:
        inner = list(expr.args)
    for part in inner:
        yield from _products(part)


def _with_shared_products(routine: Routine) -> Routine:
    """sum(v A B) and v A elsewhere: v A is a value of its own."""
    given = {name for name, _ in routine.arguments}
    for place, reader in enumerate(routine.statements):
        if reader.expr.op not in ("rows_sum", "columns_sum"):
            continue
        factors = _factors(reader.expr.args[0])
        for vector in (f for f in factors if _direction(f)):
            for matrix in (f for f in factors if f.attr in given and f.op == "symbol"):
                product = ex.hadamard(vector, matrix)
                rest = [f for f in factors if f not in (vector, matrix)]
                others = [
                    i for i, s in enumerate(routine.statements)
                    if i > place and width(s.shape) == 2 and product in ex.topological(s.expr)
                ]  # fmt: skip
                if not others or len(rest) != 1 or width(rest[0].shape) < 2 or _direction(rest[0]):
                    continue
                names = "_".join(ex.symbols_of(product))
                shared = Statement(_fresh(routine, names), product)
                total = ex.node(reader.expr.op, (ex.hadamard(rest[0], _symbol(shared)),), reader.shape)
                for other in others:
                    expr = ex.substitute(routine.statements[other].expr, {product: _symbol(shared)})
                    routine = _set(routine, other, expr)
                return _with_shared_products(_before(_set(routine, place, total), place, shared))
    return routine


def _with_operands(routine: Routine) -> Routine:
    """What a row sum adds up is a statement of its own, which may be computed where a result will be.

    Where what it is computed from is read again, that place is not free, and the value should not outlive the sum.
    """
    for place, statement in enumerate(routine.statements):
        later = {n for s in routine.statements[place + 1 :] for n in ex.symbols_of(s.expr)}
        for node in ex.topological(statement.expr):
            if node.op in ("rows_sum", "rows_mean") and node.args[0].op in ("exp", "log", "apply", "add"):
                if later & set(ex.symbols_of(node.args[0])):
                    continue
                terms = Statement(_fresh(routine, "terms"), node.args[0])
                total = ex.node(node.op, (_symbol(terms),), node.shape)
                expr = ex.substitute(statement.expr, {node: total})
                return _with_operands(_before(_set(routine, place, expr), place, terms))
    return routine


def _with_terms(routine: Routine) -> Routine:
    """c Z inside a sum is a statement of its own, which may be computed where Z is."""
    given = {name for name, _ in routine.arguments} | set(routine.results)
    for place, statement in enumerate(routine.statements):
        if width(statement.shape) < 2:
            continue
        for node in ex.topological(statement.expr):
            found = _difference(node)
            scaled = _scaled(found[1]) if found else None
            if found is None or scaled is None or scaled[1].attr in given or width(found[0].shape) < 2:
                continue
            if found[0].op == "symbol" and found[0].attr in given:
                continue
            term = Statement(_fresh(routine, f"{scaled[1].attr}_part"), found[1])
            expr = ex.substitute(statement.expr, {node: _less(found[0], _symbol(term))})
            return _with_terms(_before(_set(routine, place, expr), place, term))
    return routine
