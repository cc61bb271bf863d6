"""What the writers of one C++ function share: names, index variables, arrays and their types."""

from __future__ import annotations

import itertools
import re
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

import sympy as sp

from .. import expression as ex
from ..expression import Expr, Shape
from ..routine import Routine
from ..scalar import ScalarFunction
from ..schedule import width
from .cpp_entry import DOUBLE, Values
from .cpp_terms import REPEATS

# Names of the runtime and of generated code, which symbols of a script must not hide.
RESERVED = frozenset({
    "Real", "Index", "Matrix", "Vector", "OneHot", "Target", "Columns", "Sums", "Blas", "Gemm",
    "math", "std", "detail", "first", "last", "count", "block", "tile", "part", "sums", "i", "r",
    "samples", "sum", "target_sum", "mean", "largest", "maximum", "first_largest", "gemm", "column_tile",
    "row_blocks", "parallel_for", "parallel_sum", "parallel_chunks", "parallel_entries",
    "parallel_columns", "parallel_walk", "row_pass", "column_pass", "columns_done",
    "chunk_count", "threads", "set_threads", "max_chunks", "work_per_thread",
    "set_blas", "blas_name", "all_finite", "Pattern", "sparse_product", "sampled_product",
})  # fmt: skip


@dataclass
class Context:
    """The function being written. `arrays` maps parameters to whether they are written to."""

    values: Values
    routine: Routine
    labels: frozenset[str]
    arrays: dict[str, bool]
    taken: set[str]
    selected: dict[str, str] = field(default_factory=dict)

    def shape(self, name: str) -> Shape:
        return self.values.shapes[name]

    def is_array(self, name: str) -> bool:
        return name in self.arrays and width(self.shape(name)) > 0

    def is_result(self, name: str) -> bool:
        return name in self.routine.results

    def is_labels(self, name: str) -> bool:
        return name in self.labels

    def row_type(self, name: str) -> str:
        if name in self.labels:
            return "const auto"
        return "Real*" if self.arrays[name] else "const Real*"

    def is_anchored(self, name: str) -> bool:
        """Whether a mean is subtracted from data, so that its rounding would show there."""
        nodes = ex.topological(*(s.expr for s in self.routine.statements))
        repeated = [n for n in nodes if n.op in REPEATS and n.args[0].op == "symbol"
                    and n.args[0].attr == name]  # fmt: skip
        return bool(repeated) or (self.is_result(name) and self.values.type(name) == DOUBLE)

    def index(self, dim: str, other: str = "") -> str:
        """The index variable of a dimension: n for N, another letter where n is `other`."""
        numbered = (f"{dim.lower()}_{i}" for i in range(9))
        candidates = itertools.chain([dim.lower()], "jlpq", numbered)
        return next(c for c in candidates if c != other and c not in self.taken)

    def unique(self, wanted: str, *, keep: bool = False) -> str:
        """A local name that no parameter has; with `keep`, the same one for the same wish."""
        names = itertools.chain([wanted], (f"{wanted}_{i}" for i in range(2, 99)))
        found = next(name for name in names if name not in self.taken)
        if not keep:
            self.taken.add(found)
        return found

    def special(self, expr: Expr, i: str, j: str) -> str | None:
        """columns_select, whose maxima a step of its own has found."""
        if expr.op != "columns_select":
            return None
        return f"({i} == {self.selected[select_key(expr)]}[{j}] ? Real(1) : Real(0))"


def select_key(expr: Expr) -> str:
    """A key for the place of a maximum among the local constants."""
    return f"{expr.op} {id(expr)}"


def is_costly(expr: Expr) -> bool:
    """Whether an entry takes a transcendental function."""
    return any(_weight(n) > 1 for n in ex.topological(expr))


def _weight(node: Expr) -> int:
    """Cheap operations one application is worth, measured on vector code."""
    if node.op in ("exp", "log"):
        return 5
    if node.op == "apply":
        f = node.attr
        assert isinstance(f, ScalarFunction)
        names = {type(part).__name__ for part in f.expr.atoms(sp.Function)}
        return 7 if names & {"erf", "erfc"} else 5 if names - {"Piecewise"} else 1
    return 0


def cost(exprs: Iterable[Expr], local: Collection[str] = ()) -> int:
    """Operations an entry takes, for the decision how many threads a loop is worth."""
    nodes = [n for n in ex.topological(*exprs) if width(n.shape) == 2]
    matrices = {n.attr for n in nodes if n.op == "symbol"}
    return max(1, len(matrices - set(local)) + sum(_weight(n) for n in nodes))


def vector_loop(head: str, body: list[str]) -> list[str]:
    """A loop whose iterations are independent."""
    if len(body) == 1:
        return ["GRADWRIGHT_VECTORIZE", f"{head} {body[0]}"]
    return ["GRADWRIGHT_VECTORIZE", f"{head} {{", *indented(body), "}"]


def indented(lines: list[str], depth: int = 1) -> list[str]:
    """Lines moved to the right; a line may hold several."""
    pad = "    " * depth
    return [pad + part if part else part for line in lines for part in line.split("\n")]


def identifiers(names: Iterable[str], indices: Iterable[str]) -> dict[str, str]:
    """C++ names of symbols: their own, with an underscore where that means something else."""
    clashes = RESERVED | set(indices)
    return {name: f"{name}_" for name in names if name in clashes}


def mentions(text: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", text) is not None
