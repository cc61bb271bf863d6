"""Seams: forward values at which a long derivation falls into short ones.

Input: a program. Output: the same program, its seams named. At a seam V the rest of the program
is a function of V alone, so that the adjoint DV carries all that the earlier part needs: with every
seam an independent matrix, the derivatives of

    sum(DY (.) Y) + sum over the seams of sum(DV (.) definition of V)

are the adjoints of the seams and the gradients of the variables. This is the chain rule; each side
of a seam is then derived, simplified and proved without the other. Seams are put where nothing
cancels across them: at the affine value in front of a non-linear function or a product.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from . import expression as ex
from .expression import Expr
from .program import Program

Claims = tuple[tuple[str, Expr], ...]

_MOVING = frozenset({"row_repeat", "column_repeat", "scalar_repeat", "transpose"})
_ENTRYWISE = _MOVING | {"symbol", "number", "size", "add", "hadamard", "power", "identity"}


@dataclass(frozen=True)
class Seam:
    """A named forward value and the symbol of its adjoint."""

    node: Expr
    name: str

    @property
    def adjoint(self) -> Expr:
        return ex.symbol(f"D{self.name}", self.node.shape)


def with_named_seams(program: Program) -> Program:
    """The program with a name for every seam: Z, Z_2, ... where the script gave none."""
    named = dict(program.names)
    taken = {i.name for i in program.inputs} | set(program.sizes) | set(named.values())
    taken |= {program.output_name}
    for node in _seam_nodes(program):
        if node not in named:
            named[node] = _free_name(taken)
            taken.add(named[node])
    order = {node: place for place, node in enumerate(ex.topological(program.output))}
    names = tuple(sorted(named.items(), key=lambda item: order[item[0]]))
    return program if names == program.names else replace(program, names=names)


def seams(program: Program) -> tuple[Seam, ...]:
    """The seams in the order of the forward pass; all of them named by `with_named_seams`."""
    names = dict(program.names)
    return tuple(Seam(node, names[node]) for node in _seam_nodes(program) if node in names)


@dataclass(frozen=True)
class Segment:
    """Targets whose adjoints are complete at the same point of the way back.

    `targets` are names of seams and variables, `ends` the values that the part computes for later
    ones, `adjoints` theirs, `leaves` the seams it starts from, `forward` its nodes in the order of
    the forward pass.
    """

    targets: tuple[str, ...]
    ends: tuple[Expr, ...]
    adjoints: tuple[Expr, ...]
    leaves: tuple[Seam, ...]
    forward: tuple[Expr, ...]


def segments(program: Program, cut: Iterable[Seam]) -> tuple[Segment, ...]:
    """The parts between seams, from the output back; each target is in one of them.

    What several parts read belongs to the one that the way back reaches last.
    """
    cut = tuple(cut)
    at = {seam.node for seam in cut}
    upstream = ex.symbol(program.upstream, program.output.shape)
    ends = [(program.output, upstream), *((seam.node, seam.adjoint) for seam in reversed(cut))]
    below = {end: _stretch(end, at) for end, _ in ends}
    targets = [(seam.name, seam.node) for seam in reversed(cut)]
    targets += [(v.name, v.expr) for v in program.variables]
    parts: dict[Expr | None, tuple[list[str], dict[Expr, None]]] = {}
    for name, node in targets:
        readers = [e for e, _ in ends if node in below[e] and (e is not node or not node.args)]
        names, read = parts.setdefault(readers[-1] if readers else None, ([], {}))
        names.append(name)
        read |= dict.fromkeys(readers)
    return tuple(_segment(names, tuple(e for e, _ in ends if e in read), below, cut, dict(ends))
                 for names, read in parts.values())  # fmt: skip


def _segment(
    names: list[str], read: tuple[Expr, ...], below: Mapping[Expr, set[Expr]],
    cut: tuple[Seam, ...], adjoints: Mapping[Expr, Expr],
) -> Segment:  # fmt: skip
    inner = {node for end in read for node in below[end] if node is not end}
    leaves = tuple(seam for seam in cut if seam.node in inner)
    own = (inner | set(read)) - {seam.node for seam in leaves}
    forward = tuple(n for n in ex.topological(*read) if n in own and n.op != "symbol")
    return Segment(tuple(names), read, tuple(adjoints[end] for end in read), leaves, forward)


def _stretch(end: Expr, at: set[Expr]) -> set[Expr]:
    """The end of a part and everything below it down to seams, these included."""
    seen = {end}
    stack = list(end.args)
    while stack:
        node = stack.pop()
        if node not in seen:
            seen.add(node)
            stack += () if node in at else node.args
    return seen


def resolved(claims: Claims, given: Mapping[str, Expr]) -> Claims:
    """Claims with the adjoints of the seams written out; `given` are claims for those, by name."""
    written: dict[Expr, Expr] = {}
    for name, claim in given.items():
        full = ex.substitute(claim, written)
        written[ex.symbol(f"D{name}", claim.shape)] = full
    return tuple((name, ex.substitute(claim, written)) for name, claim in claims)


def _free_name(taken: set[str]) -> str:
    candidates = ["Z", *(f"Z_{i}" for i in range(2, 2 + len(taken)))]
    return next(n for n in candidates if n not in taken and f"D{n}" not in taken)


def _seam_nodes(program: Program) -> list[Expr]:
    order = ex.topological(program.output)
    depending = _depending(program)
    users: dict[Expr, list[Expr]] = {}
    for node in order:
        for arg in dict.fromkeys(node.args):
            users.setdefault(arg, []).append(node)
    found: dict[Expr, None] = {}
    for node in order:
        if node.op == "apply":
            found |= dict.fromkeys(a for a in node.args if _is_involved(a))
        if node.op == "matmul":
            end = _end_of_affine_chain(node, users)
            if end is not program.output:
                found[end] = None
    names = {name for _, name in program.names} | {i.name for i in program.inputs}
    clashing = {node for node, name in program.names if f"D{name}" in names}
    return [n for n in order if n in found and n in depending and n is not program.output
            and n not in clashing and n.op not in _MOVING]  # fmt: skip


def _depending(program: Program) -> set[Expr]:
    variables = {v.expr for v in program.variables}
    found: set[Expr] = set()
    for node in ex.topological(program.output):
        if node in variables or any(arg in found for arg in node.args):
            found.add(node)
    return found


def _is_involved(argument: Expr) -> bool:
    """Whether a function's argument is more than entry-by-entry arithmetic on inputs."""
    return any(node.op not in _ENTRYWISE for node in ex.topological(argument))


def _end_of_affine_chain(node: Expr, users: Mapping[Expr, Iterable[Expr]]) -> Expr:
    """Follow sums and scalar factors as long as nobody else reads the value."""
    while True:
        following = list(users.get(node, ()))
        if len(following) != 1 or not _is_affine(following[0], node):
            return node
        node = following[0]


def _is_affine(user: Expr, value: Expr) -> bool:
    if user.op == "add":
        return user.args[0] is not user.args[1]
    if user.op != "hadamard" or user.args[0] is user.args[1]:
        return False
    factor = user.args[0] if user.args[1] is value else user.args[1]
    return factor.op in ("scalar_repeat", "number")
