"""Lowering: from proved equations to routines of named statements, one for each direction.

Input: a program, its simplified gradients and its stable forms. Output: a `Kernel`, the array
program every target prints. Decisions made here and nowhere else: which forward values are
saved, which are recomputed, which values get a statement and a name. Guaranteed: `proved_again`
inlines the statements and proves both routines against the definition and route B.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from . import expression as ex
from . import index_form as ix
from .expression import Expr, Shape
from .naming import Namer
from .primitives import Entries
from .program import Input, Program
from .prove import Proof, apply_fact
from .routine import Kernel, Routine, width
from .saving import choose_saved
from .segments import Claims, resolved, seams
from .simplify import Simplified
from .stabilise import Stabilised
from .statements import Builder


def lower(
    program: Program,
    simplified: Simplified,
    stable: Stabilised,
    adjoints: Iterable[tuple[Expr, Expr]] = (),
) -> Kernel:
    """Choose saved values and write both routines. `adjoints` lend their names: D + node."""
    gradients = simplified.gradients
    seams = resolved(simplified.adjoints, dict(simplified.adjoints))
    hints = dict(program.names)
    hints[program.output] = program.output_name
    saved = choose_saved(program, [g for _, g in gradients])
    namer = Namer({i.name for i in program.inputs} | set(program.sizes), hints)
    saved_names = {node: namer.name(node) for node in saved}
    forward = _forward(program, stable, saved_names, namer)
    backward = _backward(program, gradients, seams, saved_names, namer, tuple(adjoints))
    order = [n for n, _ in backward.arguments if n != program.upstream]
    given = {value: f"D{name}" for name, value in reversed(gradients)}
    statements = tuple((name, given.get(value, f"D{name}")) for name, value in seams)
    return Kernel(program, forward, backward, tuple(order), stable, statements)


def _forward(program: Program, stable: Stabilised, saved: dict[Expr, str], namer: Namer) -> Routine:
    extra = [(name, node) for node, name in saved.items() if node is not program.output]
    order = {node: place for place, node in enumerate(ex.topological(program.output))}
    extra.sort(key=lambda item: order[item[1]])
    results = [(program.output_name, stable(program.output))]
    results += [(name, stable(node)) for name, node in extra]
    hints = {stable(node): name for node, name in program.names}
    hints |= {expr: name for name, expr in results}
    arguments = [(i.name, i.shape) for i in program.inputs]
    if program.divisor is not None:
        arguments.append(("scale", ("1", "1")))
    return Builder(namer.fork(hints), program).build("forward", arguments, results)


def _backward(
    program: Program,
    gradients: Claims,
    seams: Claims,
    saved: dict[Expr, str],
    namer: Namer,
    adjoints: tuple[tuple[Expr, Expr], ...],
) -> Routine:
    known = {node: ex.symbol(name, node.shape) for node, name in saved.items()}
    results = [(f"D{name}", ex.substitute(g, known)) for name, g in gradients]
    hints = {ex.substitute(n, known): name for n, name in program.names if n not in saved}
    hints |= {ex.substitute(a, known): f"D{name}" for name, a in seams if a.op != "symbol"}
    hints |= {expr: name for name, expr in reversed(results)}
    used = set(ex.symbols_of(*(expr for _, expr in results)))
    arguments = [(program.upstream, program.output.shape)]
    shapes = {name: node.shape for node, name in saved.items()}
    order = [i.name for i in program.inputs if i.role != "hyperparameter"]
    order = [program.output_name, *order, *(n for n in shapes if n != program.output_name)]
    order += [i.name for i in program.inputs if i.role == "hyperparameter"] + ["scale"]
    every = shapes | {i.name: i.shape for i in program.inputs} | {"scale": ("1", "1")}
    arguments += [(n, every[n]) for n in order if n in used]
    # A size that occurs in an equation only as a number is read off an argument's shape.
    # Targets do not count: they may come as labels.
    targets = frozenset(i.name for i in program.inputs if i.role == "target")
    missing = _missing_sizes(results, [a for a in arguments if a[0] not in targets])
    arguments += [(i.name, i.shape) for i in _carriers(program, missing, arguments)]
    opaque = {expr: name for expr, name in hints.items() if width(expr.shape) == 2}
    own = tuple(
        (f"D{namer.name(n)}", ex.substitute(a, known), n.shape)
        for n, a in adjoints
        if namer.is_named(n)
    )
    forked = namer.fork(hints, Entries(opaque=opaque), own, saved.values())
    return Builder(forked, program).build("backward", arguments, results)


def _missing_sizes(results: list[tuple[str, Expr]], arguments: list[tuple[str, Shape]]) -> set[str]:
    have = {d for _, shape in arguments for d in shape} | {"1"}
    wanted: set[str] = set()
    for node in ex.topological(*(e for _, e in results)):
        wanted |= set(node.shape) | ({str(node.attr)} if node.op == "size" else set())
    return wanted - have


def _carriers(
    program: Program, missing: set[str], arguments: list[tuple[str, Shape]]
) -> list[Input]:
    found = []
    names = {n for n, _ in arguments}
    for item in program.inputs:
        if missing & set(item.shape) and item.name not in names and item.role != "target":
            found.append(item)
            missing = missing - set(item.shape)
    return found


def inlined(routine: Routine, kept: Mapping[str, str] | None = None) -> dict[str, Expr]:
    """Every statement as an expression of the routine's arguments.

    Statements in `kept` are symbols of the given names wherever others read them.
    """
    values: dict[Expr, Expr] = {}
    found = {}
    for statement in routine.statements:
        value = found[statement.name] = ex.substitute(statement.expr, values)
        if kept and statement.name in kept:
            value = ex.symbol(kept[statement.name], statement.shape)
        values[ex.symbol(statement.name, statement.shape)] = value
    return found


def proved_again(kernel: Kernel, proof: Proof) -> bool:
    """Both routines, statement by statement as emitted, against the definition and route B."""
    program, stable = kernel.program, kernel.stable
    cut = seams(program) if proof.segments else ()
    forward = inlined(kernel.forward)
    plain = Entries(program.positive, opaque={seam.node: seam.name for seam in cut})
    emitted = Entries(program.positive, opaque={stable(seam.node): seam.name for seam in cut})
    pairs = [(program.output, forward[program.output_name])]
    pairs += [(seam.node, stable(seam.node)) for seam in cut]
    for node, value in pairs:
        gap = plain.definition(node, "a", "b") - emitted.definition(value, "a", "b")
        if not ix.is_zero(gap):
            return False
    saved = {ex.symbol(n, kernel.forward.shape(n)): forward[n] for n in kernel.forward.results}
    statement_of = {f"D{n}": kernel.adjoint(n) for n, _ in proof.adjoints}
    kept = {statement: adjoint for adjoint, statement in statement_of.items()}
    backward = inlined(kernel.backward, kept)
    for name, wanted in proof.wanted.items():
        leaves = {stable(seam.node): seam.name for seam in proof.leaves(name)}
        entry = Entries(program.positive, opaque=leaves)
        own = statement_of.get(f"D{name}", f"D{name}")
        found = backward[own]
        if f"D{name}" not in statement_of and own in kept:  # also the adjoint of a seam
            found = ex.symbol(kept[own], found.shape)
        gap = wanted - entry(ex.substitute(found, saved), "a", "b")
        for fact in program.facts:
            gap = apply_fact(gap, fact, plain)
        if not ix.is_zero(gap):
            return False
    return True
