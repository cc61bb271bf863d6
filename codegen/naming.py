"""Names for values: the script's, adjoints as D + name, else a description of the value."""

from __future__ import annotations

from collections.abc import Iterable

from .expression import Expr, Shape
from .primitives import Entries
from .routine import is_normaliser, width


class Namer:
    """Names for values: the script's, adjoints as D + name, else a description of the value."""

    def __init__(
        self,
        taken: set[str],
        hints: dict[Expr, str],
        entry: Entries | None = None,
        adjoints: tuple[tuple[str, Expr, Shape], ...] = (),
    ) -> None:
        self._taken = set(taken)
        self._hints = dict(hints)
        self._entry = entry or Entries()
        self._adjoints = adjoints
        self._given: dict[Expr, str] = {}

    def fork(
        self,
        hints: dict[Expr, str],
        entry: Entries | None = None,
        adjoints: tuple[tuple[str, Expr, Shape], ...] = (),
        taken: Iterable[str] = (),
    ) -> Namer:
        """Other hints, nothing given yet; `entry` compares values with adjoints."""
        return Namer(self._taken | set(taken), hints, entry, adjoints)

    def is_named(self, node: Expr) -> bool:
        return node in self._hints

    def is_result(self, name: str) -> bool:
        return name in self._hints.values()

    def name(self, node: Expr) -> str:
        if node.op == "symbol":
            return str(node.attr)
        if node in self._hints:
            return self._hints[node]
        if node not in self._given:
            self._given[node] = self._unique(self._adjoint_name(node) or self._describe(node))
        return self._given[node]

    def _adjoint_name(self, node: Expr) -> str | None:
        if width(node.shape) < 2:
            return None
        for name, adjoint, shape in self._adjoints:
            if shape == node.shape and (
                adjoint is node or self._entry(adjoint, "a", "b") == self._entry(node, "a", "b")
            ):
                return name
        return None

    def _unique(self, wanted: str) -> str:
        used = self._taken | set(self._hints.values()) | set(self._given.values())
        if wanted not in used:
            return wanted
        return next(f"{wanted}_{i}" for i in range(2, 99) if f"{wanted}_{i}" not in used)

    def _describe(self, node: Expr) -> str:
        """rows_sum(Y * DY) is sum_Y_DY; log(sum_E) is log_sum_E."""
        if node.op == "at_least_one" or is_normaliser(node):
            return self._describe(node.args[0])
        words = {
            "rows_sum": "sum", "columns_sum": "sum", "elements_sum": "sum", "rows_mean": "mean",
            "columns_mean": "mean", "rows_max": "max", "columns_max": "max", "rows_shift": "max",
            "columns_shift": "max", "hadamard": "", "add": "", "matmul": "", "transpose": "",
            "target_product": "", "at_least_one": "",
        }  # fmt: skip
        word = words.get(node.op, node.op)
        if node.op == "power":
            words_of_powers = {"1/2": "sqrt", "-1": "inv", "-1/2": "inv_sqrt", "2": "square"}
            word = words_of_powers.get(str(node.attr), "power")
        if node.op == "add" and any(_is_shift(arg) for arg in node.args):
            word = "shifted"
        if node.op == "apply":
            word = getattr(node.attr, "name", "f")
        inner = _leading_names(node, self)
        return "_".join([w for w in [word, *inner] if w]) or "value"


def _is_shift(term: Expr) -> bool:
    """Whether a term is a maximum that is subtracted from all its row or column."""
    while term.op in ("hadamard", "row_repeat", "column_repeat"):
        term = term.args[-1]
    return term.op in ("rows_shift", "columns_shift")


def _leading_names(node: Expr, namer: Namer) -> list[str]:
    names: dict[str, None] = {}

    def visit(part: Expr) -> None:
        if part.op == "symbol" or (part in namer._hints and part is not node):
            names[namer.name(part)] = None
        elif part in namer._given and part is not node:
            if part.op not in ("rows_shift", "columns_shift"):
                names[namer._given[part]] = None
        else:
            if part.op in ("exp", "log") and part is not node:
                names[part.op] = None
            for arg in part.args:
                visit(arg)

    visit(node)
    return list(names)[:3]
