"""From expressions to named statements: what gets a statement of its own, and in which order."""

from __future__ import annotations

from . import expression as ex
from .expression import Expr, Shape
from .guards import Guard
from .naming import Namer
from .program import Program
from .routine import Routine, Statement, is_normaliser, width
from .saving import REPEATS, depends_on_arrays

_REDUCTIONS = (
    "rows_sum", "columns_sum", "elements_sum", "rows_mean", "columns_mean", "rows_max",
    "columns_max", "rows_shift", "columns_shift", "at_least_one",
)  # fmt: skip
_COSTLY = ("exp", "log", "apply", "power")


class Builder:
    """Writes the statements of one routine."""

    def __init__(self, namer: Namer, program: Program) -> None:
        self._namer = namer
        self._guarded = Guard(program)
        self._symbols: dict[Expr, Expr] = {}
        self._statements: list[Statement] = []

    def build(
        self, name: str, arguments: list[tuple[str, Shape]], results: list[tuple[str, Expr]]
    ) -> Routine:
        roots = [expr for _, expr in results]
        wanted = self._materialised(roots)
        by_root: dict[Expr, list[str]] = {}
        for result, expr in results:
            by_root.setdefault(expr, []).append(result)
        for node in ex.topological(*roots):
            if node in by_root and node.op != "symbol":
                first, *others = by_root[node]
                self._add(first, node)
                for other in others:
                    self._statements.append(Statement(other, ex.symbol(first, node.shape)))
            elif node in by_root:
                for result in by_root[node]:
                    self._statements.append(Statement(result, node))
            elif node in wanted:
                self._add(self._namer.name(node), node)
        self._inline_products()
        return Routine(
            name, tuple(arguments), tuple(self._statements), tuple(r for r, _ in results)
        )

    def _add(self, name: str, node: Expr) -> None:
        args = tuple(ex.substitute(a, self._symbols) for a in node.args)
        expr = node if args == node.args else ex.rebuild(node, args)
        self._statements.append(Statement(name, self._guarded(expr)))
        self._guarded.note(name, expr)
        self._symbols[node] = ex.symbol(name, node.shape)

    def _materialised(self, roots: list[Expr]) -> set[Expr]:
        """Values with a statement of their own: named, shared, summed, or costly vectors."""
        uses: dict[Expr, int] = {}
        order = ex.topological(*roots)
        users: dict[Expr, list[Expr]] = {}
        for node in order:
            for arg in node.args:
                uses[arg] = uses.get(arg, 0) + 1
                users.setdefault(arg, []).append(node)
        wanted: set[Expr] = set()
        for node in order:
            if node.op in (*REPEATS, "symbol", "number", "size", "identity", "transpose"):
                continue
            inner_sum = node.op in ("rows_sum", "columns_sum") and all(
                u.op == "at_least_one" for u in users.get(node, [])
            )
            if node.op == "log" and any(is_normaliser(u) for u in users.get(node, [])):
                continue
            named = self._namer.is_named(node) or is_normaliser(node)
            shared = uses.get(node, 0) > 1 and depends_on_arrays(node)
            shared = shared and not (width(node.shape) == 2 and _is_plain_product(node, wanted))
            summed = node.op in (*_REDUCTIONS, "matmul") and not (inner_sum and users.get(node))
            vector = width(node.shape) == 1 and node.op in _COSTLY
            if named or shared or summed or vector:
                wanted.add(node)
            if node.op == "transpose" and width(node.shape) == 2:
                wanted |= {a for a in node.args if a.op not in ("symbol", "matmul")}
            if node.op == "matmul":
                operands = (a.args[0] if a.op == "transpose" else a for a in node.args)
                wanted |= {a for a in operands if a.op != "symbol"}
        return wanted

    def _inline_products(self) -> None:
        """Y = X W^T + b is one statement: a product used once goes into its user."""
        for product in [s for s in self._statements if s.expr.op == "matmul"]:
            symbol = ex.symbol(product.name, product.shape)
            users = [s for s in self._statements if symbol in ex.topological(s.expr)]
            if len(users) != 1 or self._namer.is_result(product.name):
                continue
            nodes = ex.topological(users[0].expr)
            uses = sum(node.args.count(symbol) for node in nodes)
            elementwise = all(n.op in ("add", "hadamard", "power", "symbol", "number", "size",
                                       *REPEATS) for n in nodes)  # fmt: skip
            if uses == 1 and elementwise:
                place = self._statements.index(users[0])
                merged = ex.substitute(users[0].expr, {symbol: product.expr})
                self._statements[place] = Statement(users[0].name, merged)
                self._statements.remove(product)


def _is_plain_product(node: Expr, known: set[Expr]) -> bool:
    """Products of symbols and of values with a name: cheaper to write twice than to keep."""
    if node.op in REPEATS:
        return _is_plain_product(node.args[0], known)
    if node.op == "hadamard":
        return all(a in known or _is_plain_product(a, known) for a in node.args)
    return node.op in ("symbol", "number", "size")
