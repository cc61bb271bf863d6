"""How likely a false gradient is to pass an exact check: degrees for the Schwartz-Zippel bound.

Entries are quotients of polynomials in independent random residues; an exponential or another
function counts as one more residue. A non-zero difference of degree D vanishes at a uniform
point with probability at most D / p. Asking m entries for square roots keeps at least about one
point in 2^m and multiplies the degree by 2^m, so the bound becomes 4^m D / p.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction
from math import ceil

from ..expression import Expr, substitute, topological
from .fields import CHAIN
from .scalar_graph import expand

Degree = tuple[int, int]  # of numerator and denominator
_FUNCTIONS = frozenset({"exp", "log", "erf", "sin", "cos", "tan", "atan"})


def error_bound(output: Expr, gradients: Iterable[Expr], sizes: Mapping[str, int]) -> float:
    """The probability that a false gradient passes at these sizes, at most 1."""
    numbers = {**sizes, "1": 1}
    expressions = [output, *gradients]
    nodes = [_written_out(e) for e in expressions]
    degrees: dict[Expr, Degree] = {}
    for node in topological(*nodes):
        degrees[node] = _degree(node, [degrees[a] for a in node.args], numbers)
    entries = numbers[output.rows] * numbers[output.cols]
    above, below = degrees[nodes[0]]
    wanted = _sum((above + below, 2 * below), entries)
    worst = max((_difference(wanted, degrees[node]) for node in nodes[1:]), default=1)
    roots = sum(
        numbers[node.rows] * numbers[node.cols]
        for node in topological(*nodes)
        if _is_root(node) and any(part.op == "symbol" for part in topological(node))
    )
    return min(1.0, float(Fraction((worst + 1) * 4**roots, CHAIN[0])))


def _written_out(expr: Expr) -> Expr:
    replacements: dict[Expr, Expr] = {}
    for node in topological(expr):
        if node.op == "apply":
            replacements[node] = expand(node)
    return substitute(expr, replacements)


def _is_root(node: Expr) -> bool:
    return node.op == "power" and isinstance(node.attr, Fraction) and node.attr.denominator != 1


def _degree(node: Expr, parts: list[Degree], numbers: Mapping[str, int]) -> Degree:
    if not parts:
        return (1, 0) if node.op == "symbol" else (0, 0)
    if node.op == "add":
        return _plus(*parts)
    if node.op in ("hadamard", "target_product"):
        return _times(*parts)
    if node.op == "matmul":
        return _sum(_times(*parts), numbers[node.args[0].cols])
    if node.op in ("rows_sum", "rows_mean", "columns_sum", "columns_mean", "elements_sum"):
        rows, cols = (numbers[d] for d in node.args[0].shape)
        return _sum(parts[0], rows * cols // (numbers[node.rows] * numbers[node.cols]))
    if node.op == "power" and isinstance(node.attr, Fraction):
        above, below = (ceil(abs(node.attr) * d) for d in parts[0])
        return (above, below) if node.attr > 0 else (below, above)
    if node.op in _FUNCTIONS:
        return 1 + sum(parts[0]), 0
    return max(a for a, _ in parts), max(b for _, b in parts)


def _plus(first: Degree, second: Degree) -> Degree:
    return max(first[0] + second[1], second[0] + first[1]), first[1] + second[1]


def _times(first: Degree, second: Degree) -> Degree:
    return first[0] + second[0], first[1] + second[1]


def _sum(term: Degree, count: int) -> Degree:
    return term[0] + (count - 1) * term[1], count * term[1]


def _difference(first: Degree, second: Degree) -> int:
    return max(first[0] + second[1], second[0] + first[1])
