"""The table of primitives: what each operation means, and its gradient rule.

Every primitive has an index meaning (its entry, for the proof kernel) and a gradient rule in
matrix form. `prove_rules` proves each rule from the index meaning, for all sizes, with a generic
upstream gradient; a rule is used by the derivation only because it is a theorem here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction

from . import expression as ex
from . import index_form as ix
from .errors import UnsupportedPrimitive
from .expression import Expr
from .scalar import ScalarFunction, to_index

Entry = Callable[[Expr, ix.Label, ix.Label], ix.Poly]


@dataclass(frozen=True)
class Primitive:
    """`meaning(node, i, j, entry)` is entry (i, j); `gradient(node, G)` one matrix per operand."""

    name: str
    formula: str
    meaning: Callable[[Expr, ix.Label, ix.Label, Entry], ix.Poly]
    gradient: Callable[[Expr, Expr], tuple[Expr | None, ...]]


def _fresh(*used: ix.Label) -> ix.Label:
    return next(name for name in (f"?{i}" for i in range(len(used) + 1)) if name not in used)


def _sum(node: Expr, i: ix.Label, j: ix.Label, entry: Entry, over: str) -> ix.Poly:
    """Sum the operand over its rows, its columns or both."""
    operand = node.args[0]
    row = _fresh(i, j) if "rows" in over else i
    col = _fresh(i, j, row) if "cols" in over else j
    bound = [(row, operand.rows)] * ("rows" in over) + [(col, operand.cols)] * ("cols" in over)
    summed = [(label, dim) for label, dim in bound if dim != "1"]
    return ix.sum_over(entry(operand, row, col), summed)


def _matmul(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    left, right = node.args
    k = _fresh(i, j)
    bound = [(k, left.cols)] if left.cols != "1" else []
    return ix.sum_over(entry(left, i, k) * entry(right, k, j), bound)


def _symbol(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    labels = [label for label, dim in zip((i, j), node.shape, strict=True) if dim != "1"]
    return ix.element(str(node.attr), *labels, positive=str(node.attr).endswith("+"))


def _apply(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    f = node.attr
    assert isinstance(f, ScalarFunction)
    entries = {v: entry(a, i, j) for v, a in zip(f.variables, node.args, strict=True)}
    return to_index(f.expr, entries)


def _apply_gradient(node: Expr, upstream: Expr) -> tuple[Expr | None, ...]:
    f = node.attr
    assert isinstance(f, ScalarFunction)
    contributions = []
    for position in range(len(node.args)):
        slope = f.derivative(position)
        factor = ex.node("apply", node.args, node.shape, slope)
        constant = _constant_value(slope)
        if constant is not None:
            factor = ex.scalar_repeat(ex.number(constant), node.shape)
        polynomial = f.polynomial_in_value() if len(node.args) == 1 else None
        if polynomial is not None and constant is None:
            factor = _in_value(node, polynomial)
        branches = f.slope_in_value() if position == 0 else None
        if branches is not None:
            factor = ex.node("apply", (node, *node.args[1:]), node.shape, branches)
        contributions.append(ex.hadamard(upstream, factor))
    return tuple(contributions)


def _constant_value(f: ScalarFunction) -> Fraction | None:
    return Fraction(int(f.expr.p), int(f.expr.q)) if f.expr.is_Rational else None


def _in_value(node: Expr, polynomial: object) -> Expr:
    """p(Y) for f' = p(f): f' from the output alone. Factored, to keep few operations."""
    import sympy as sp

    assert isinstance(polynomial, sp.Poly)
    (y,) = polynomial.gens

    def build(expr: sp.Expr) -> Expr:
        if expr == y:
            return node
        if expr.is_Rational:
            return ex.number(Fraction(int(expr.p), int(expr.q)))
        parts = [build(a) for a in sp.ordered(expr.args)] if not expr.is_Pow else []
        if expr.is_Add:
            total = parts[0]
            for part in parts[1:]:
                total = total + part
            return total
        if expr.is_Mul:
            total = parts[0]
            for part in parts[1:]:
                total = total * part
            return total
        return ex.power(build(expr.base), Fraction(int(expr.exp)))

    return build(sp.expand(polynomial.as_expr()))


def _selected_gradient(node: Expr, upstream: Expr) -> tuple[Expr]:
    value = node.args[0]
    if node.op == "rows_max":
        return (ex.column_repeat(upstream, value.cols) * ex.select("rows_select", value),)
    return (ex.row_repeat(upstream, value.rows) * ex.select("columns_select", value),)


def _maximum(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    """The maximum is the entry its first-maximum mask selects."""
    value = node.args[0]
    k = _fresh(i, j)
    along_row = node.op == "rows_max"
    dim = value.cols if along_row else value.rows
    body = entry(value, i, k) if along_row else entry(value, k, j)
    return ix.sum_over(ix.selection(body, k, dim, k + "'").__mul__(
        ix.rename(body, {k: k + "'"})), [(k + "'", dim)])


def _shift(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    """A generic vector: what is proved of a shift holds for every shift."""
    labels = [label for label, dim in zip((i, j), node.shape, strict=True) if dim != "1"]
    return ix.element(f"shift by {node.args[0].op} {node.args[0].attr}", *labels)


def _selection(node: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
    value = node.args[0]
    k = _fresh(i, j)
    if node.op == "rows_select":
        return ix.selection(entry(value, i, k), k, value.cols, j)
    return ix.selection(entry(value, k, j), k, value.rows, i)


def _mean(over: str) -> Callable[[Expr, ix.Label, ix.Label, Entry], ix.Poly]:
    def meaning(n: Expr, i: ix.Label, j: ix.Label, entry: Entry) -> ix.Poly:
        dim = n.args[0].cols if over == "cols" else n.args[0].rows
        return _sum(n, i, j, entry, over) * ix.power(ix.size(dim), -1)

    return meaning


def _exponent(n: Expr) -> Fraction:
    assert isinstance(n.attr, Fraction)
    return n.attr


def _power_gradient(n: Expr, g: Expr) -> tuple[Expr]:
    exponent = _exponent(n)
    return (g * (exponent * ex.power(n.args[0], exponent - 1)),)


def _reciprocal_size(dim: str) -> Expr:
    return ex.power(ex.size(dim), Fraction(-1))


def _table() -> dict[str, Primitive]:
    def leaf(name: str, formula: str, meaning: object) -> Primitive:
        return Primitive(name, formula, meaning, lambda n, g: ())  # type: ignore[arg-type]

    entries = [
        leaf("symbol", "X", _symbol),
        leaf("number", "c", lambda n, i, j, e: ix.constant(n.attr)),
        leaf("size", "N", lambda n, i, j, e: ix.size(str(n.attr))),
        leaf("identity", "I", lambda n, i, j, e: ix.delta(i, j)),
        Primitive("add", "A + B", lambda n, i, j, e: e(n.args[0], i, j) + e(n.args[1], i, j),
                  lambda n, g: (g, g)),
        Primitive("hadamard", "A (.) B",
                  lambda n, i, j, e: e(n.args[0], i, j) * e(n.args[1], i, j),
                  lambda n, g: (g * n.args[1], g * n.args[0])),
        Primitive("matmul", "A B", _matmul, lambda n, g: (g @ n.args[1].T, n.args[0].T @ g)),
        Primitive("transpose", "A^T", lambda n, i, j, e: e(n.args[0], j, i),
                  lambda n, g: (ex.transposed_product(g),)),
        Primitive("row_repeat", "rep_r(v) = 1_N v", lambda n, i, j, e: e(n.args[0], i, j),
                  lambda n, g: (ex.reduce("columns_sum", g),)),
        Primitive("column_repeat", "rep_c(u) = u 1_K^T", lambda n, i, j, e: e(n.args[0], i, j),
                  lambda n, g: (ex.reduce("rows_sum", g),)),
        Primitive("scalar_repeat", "c 1_N 1_K^T", lambda n, i, j, e: e(n.args[0], i, j),
                  lambda n, g: (ex.reduce("elements_sum", g),)),
        Primitive("rows_sum", "A 1_K", lambda n, i, j, e: _sum(n, i, j, e, "cols"),
                  lambda n, g: (ex.column_repeat(g, n.args[0].cols),)),
        Primitive("columns_sum", "1_N^T A", lambda n, i, j, e: _sum(n, i, j, e, "rows"),
                  lambda n, g: (ex.row_repeat(g, n.args[0].rows),)),
        Primitive("elements_sum", "1_N^T A 1_K", lambda n, i, j, e: _sum(n, i, j, e, "rows cols"),
                  lambda n, g: (ex.scalar_repeat(g, n.args[0].shape),)),
        Primitive("rows_mean", "A 1_K / K", _mean("cols"), lambda n, g: (
            ex.column_repeat(g * _reciprocal_size(n.args[0].cols), n.args[0].cols),)),
        Primitive("columns_mean", "1_N^T A / N", _mean("rows"), lambda n, g: (
            ex.row_repeat(g * _reciprocal_size(n.args[0].rows), n.args[0].rows),)),
        Primitive("rows_max", "max_k A[n,k]", _maximum, _selected_gradient),
        Primitive("columns_max", "max_n A[n,k]", _maximum, _selected_gradient),
        Primitive("rows_select", "[k = argmax_k A[n,k]]", _selection, lambda n, g: (None,)),
        Primitive("columns_select", "[n = argmax_n A[n,k]]", _selection, lambda n, g: (None,)),
        Primitive("diag", "diag(A)", lambda n, i, j, e: e(n.args[0], i, i),
                  lambda n, g: (ex.diagonal_matrix(g),)),
        Primitive("Diag", "Diag(u)", lambda n, i, j, e: ix.delta(i, j) * e(n.args[0], i, j),
                  lambda n, g: (ex.diag(g),)),
        Primitive("exp", "exp(A)", lambda n, i, j, e: ix.exp(e(n.args[0], i, j)),
                  lambda n, g: (g * n,)),
        Primitive("log", "log(A)", lambda n, i, j, e: ix.log(e(n.args[0], i, j)),
                  lambda n, g: (g * ex.power(n.args[0], Fraction(-1)),)),
        Primitive("power", "A^q", lambda n, i, j, e: ix.power(e(n.args[0], i, j), _exponent(n)),
                  _power_gradient),
        Primitive("apply", "f(A, ...)", _apply, _apply_gradient),
        leaf("rows_shift", "max_k A[n,k], or any other column", _shift),
        leaf("columns_shift", "max_n A[n,k], or any other row", _shift),
        leaf("at_least_one", "max(A, 1) of a sum that has a term 1",
             lambda n, i, j, e: e(n.args[0], i, j)),
        Primitive("target_product", "T (.) A, where 0 (.) inf = 0",
                  lambda n, i, j, e: e(n.args[0], i, j) * e(n.args[1], i, j),
                  lambda n, g: (None, target_product(n.args[0], g))),
    ]  # fmt: skip
    return {primitive.name: primitive for primitive in entries}


def target_product(target: Expr, value: Expr) -> Expr:
    """T (.) A in which a zero of T contributes nothing, not even where A is infinite."""
    left, right = ex.matched("target_product", target, value)
    return ex.node("target_product", (left, right), left.shape)


PRIMITIVES = _table()


def primitive(op: str) -> Primitive:
    if op not in PRIMITIVES:
        raise UnsupportedPrimitive(
            f"no primitive named {op}; known: {', '.join(sorted(PRIMITIVES))}. "
            "A new one is a line in primitives._table with its meaning and its gradient rule"
        )
    return PRIMITIVES[op]


class Entries:
    """Entries of expressions in index normal form, remembered by node and labels.

    `definitions` maps symbols to what they stand for: a saved value to its forward equation.
    Nodes in `opaque` are elements of matrices of that name, whatever they are made of.
    """

    def __init__(self, positive: frozenset[str] = frozenset(),
                 definitions: Mapping[str, Expr] | None = None,
                 opaque: Mapping[Expr, str] | None = None) -> None:
        self._known: dict[tuple[Expr, ix.Label, ix.Label], ix.Poly] = {}
        self._positive = positive
        self._definitions = definitions or {}
        self.opaque = dict(opaque or {})

    def __call__(self, expr: Expr, i: ix.Label, j: ix.Label) -> ix.Poly:
        i, j = (i if expr.rows != "1" else ""), (j if expr.cols != "1" else "")
        key = (expr, i, j)
        if key not in self._known:
            self._known[key] = self._entry(expr, i, j)
        return self._known[key]

    def definition(self, expr: Expr, i: ix.Label, j: ix.Label) -> ix.Poly:
        """The entry of an opaque node through its operands."""
        i, j = (i if expr.rows != "1" else ""), (j if expr.cols != "1" else "")
        return primitive(expr.op).meaning(expr, i, j, self)

    def make_opaque(self, node: Expr, name: str, positive: bool = False) -> None:
        """From now on the node is an element; what was said of it before is forgotten."""
        self.opaque[node] = name
        if positive:
            self._positive |= {name}
        self._known = {key: value for key, value in self._known.items() if key[0] is not node}

    def _entry(self, expr: Expr, i: ix.Label, j: ix.Label) -> ix.Poly:
        if expr in self.opaque:
            name = self.opaque[expr]
            return ix.element(name, *(l for l in (i, j) if l), positive=name in self._positive)
        if expr.op == "symbol":
            name = str(expr.attr)
            if name in self._definitions:
                return self(self._definitions[name], i, j)
            labels = [label for label in (i, j) if label]
            return ix.element(name, *labels, positive=name in self._positive)
        return primitive(expr.op).meaning(expr, i, j, self)


def directional_sum(output: Expr, upstream: str, entry: Entries) -> ix.Poly:
    """sum_ij DY[i,j] Y[i,j]: the scalar whose derivatives are the gradients, DY generic."""
    g = ex.symbol(upstream, output.shape)
    bound = [(l, d) for l, d in zip(("?r", "?c"), output.shape, strict=True) if d != "1"]
    return ix.sum_over(entry(g, "?r", "?c") * entry(output, "?r", "?c"), bound)


def prove_rules() -> dict[str, bool]:
    """Prove every gradient rule from the index meaning, on generic operands of symbolic sizes."""
    return {name: all(_proves(n) for n in nodes) for name, nodes in sorted(examples().items())}


def _proves(node: Expr) -> bool:
    entry = Entries(positive=frozenset({"P"}))
    total = directional_sum(node, "G", entry)
    gradients = primitive(node.op).gradient(node, ex.symbol("G", node.shape))
    for argument, gradient in zip(node.args, gradients, strict=True):
        if argument.op != "symbol":
            continue
        labels = [l for l, d in zip(("a", "b"), argument.shape, strict=True) if d != "1"]
        wanted = ix.differentiate(total, str(argument.attr), tuple(labels))
        found = entry(gradient, "a", "b") if gradient is not None else ix.ZERO
        if gradient is None and node.op == "target_product":
            continue  # targets are data
        if not ix.is_zero(wanted - found):
            return False
    return True


def examples() -> dict[str, list[Expr]]:
    import sympy as sp

    from .scalar import trace_scalar

    A, B = ex.symbol("A", ("N", "K")), ex.symbol("B", ("N", "K"))
    C, P = ex.symbol("C", ("K", "D")), ex.symbol("P", ("N", "K"))
    S, row = ex.symbol("S", ("N", "N")), ex.symbol("r", ("1", "K"))
    column, c = ex.symbol("u", ("N", "1")), ex.symbol("c", ("1", "1"))
    functions = [
        trace_scalar(lambda x: 1 / (1 + sp.exp(-x)), 1, "sigmoid"),
        trace_scalar(lambda x: sp.tanh(x), 1, "tanh"),
        trace_scalar(lambda x: x * sp.erf(x), 1, "x_erf"),
        trace_scalar(lambda x: sp.Max(x, 0), 1, "relu", {0: 0}),
        trace_scalar(lambda x, y: sp.sin(x) * y**2, 2, "two_arguments"),
    ]
    applied = [ex.node("apply", (A, B)[: len(f.variables)], A.shape, f) for f in functions]
    reductions = ("rows_sum", "columns_sum", "elements_sum", "rows_mean", "columns_mean",
                  "rows_max", "columns_max")  # fmt: skip
    examples = {op: [ex.reduce(op, A)] for op in reductions}
    examples |= {op: [ex.select(op, A)] for op in ("rows_select", "columns_select")}
    examples |= {
        "add": [ex.node("add", (A, B), A.shape)],
        "hadamard": [ex.node("hadamard", (A, B), A.shape)],
        "matmul": [A @ C],
        "transpose": [A.T],
        "row_repeat": [ex.row_repeat(row, "N")],
        "column_repeat": [ex.column_repeat(column, "K")],
        "scalar_repeat": [ex.scalar_repeat(c, ("N", "K"))],
        "diag": [ex.diag(S)],
        "Diag": [ex.diagonal_matrix(column)],
        "exp": [ex.elementwise("exp", A)],
        "log": [ex.elementwise("log", P)],
        "power": [ex.power(P, Fraction(q)) for q in (-1, 2, "1/2", "-1/2")],
        "apply": applied,
        "target_product": [target_product(A, B)],
    }
    return examples
