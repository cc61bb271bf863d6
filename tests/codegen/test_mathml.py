"""Formulas say what their expressions mean, and every expression prints."""

from __future__ import annotations

import re
from fractions import Fraction
from functools import cache
from xml.etree import ElementTree as ET

import numpy as np
import pytest
import sympy as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwright.codegen import expression as ex
from gradwright.codegen.expression import Expr
from gradwright.codegen.formula import (
    Box,
    Call,
    Digits,
    Fenced,
    Lowered,
    Name,
    Ones,
    Operator,
    Over,
    Raised,
    Root,
    Row,
    Times,
    Upright,
)  # fmt: skip
from gradwright.codegen.mathml import (
    expression_box,
    function_latex,
    function_mathml,
    to_latex,
    to_mathml,
)  # fmt: skip
from gradwright.codegen.primitives import PRIMITIVES, examples, target_product
from gradwright.codegen.scalar import trace_scalar

SIZES = {"N": 2, "K": 3, "D": 4, "1": 1}
SHAPES = [("N", "K"), ("1", "K"), ("N", "1"), ("1", "1"), ("K", "D"), ("N", "N")]
_ELEMENTS = {
    "math", "mi", "mn", "mo", "mtext", "mrow", "mfrac", "msup", "msub", "msqrt", "munderover",
    "mtable", "mtr", "mtd",
}  # fmt: skip
Array = np.ndarray


# Values of expressions and of formulas


def _value(expr: Expr, inputs: dict[str, Array]) -> Array:
    args = [_value(a, inputs) for a in expr.args]
    rows, cols = (SIZES[d] for d in expr.shape)
    if expr.op == "symbol":
        return inputs[str(expr.attr)]
    if expr.op == "number":
        return np.full((1, 1), float(Fraction(str(expr.attr))))
    if expr.op == "size":
        return np.full((1, 1), float(SIZES[str(expr.attr)]))
    if expr.op in ("row_repeat", "column_repeat", "scalar_repeat"):
        return np.broadcast_to(args[0], (rows, cols))
    if expr.op == "power":
        return args[0] ** float(Fraction(str(expr.attr)))
    meaning = {
        "add": lambda: args[0] + args[1],
        "hadamard": lambda: args[0] * args[1],
        "matmul": lambda: args[0] @ args[1],
        "transpose": lambda: args[0].T,
    }
    return meaning[expr.op]() if expr.op in meaning else _FUNCTIONS[expr.op](*args)


_FUNCTIONS = {
    "exp": np.exp,
    "log": np.log,
    "rows_sum": lambda a: a.sum(1, keepdims=True),
    "columns_sum": lambda a: a.sum(0, keepdims=True),
    "elements_sum": lambda a: a.sum(keepdims=True),
    "rows_mean": lambda a: a.mean(1, keepdims=True),
    "columns_mean": lambda a: a.mean(0, keepdims=True),
    "diag": lambda a: np.diag(a)[:, None],
    "Diag": lambda a: np.diag(a[:, 0]),
}


class _Reader:
    """Evaluates a formula as one reads it: brackets, juxtaposition, ⊙ and ⊘, + and −."""

    def __init__(self, inputs: dict[str, Array], shape: tuple[int, int]) -> None:
        self.inputs = inputs
        self.shape = shape

    def read(self, box: Box) -> Array:
        tokens = self._tokens(box)
        total, sign, product = None, 1.0, []
        for token in [*tokens, Operator("+")]:
            if isinstance(token, Operator) and token.text in "+−":
                if product:
                    value = sign * self._product(product)
                    assert total is None or total.shape == value.shape
                    total = value if total is None else total + value
                sign, product = 1.0 if token.text == "+" else -1.0, []
            else:
                product.append(token)
        assert total is not None
        return total

    def _tokens(self, box: Box) -> list[Box]:
        if not isinstance(box, Row):
            return [box]
        return [token for part in box.parts for token in self._tokens(part)]

    def _product(self, tokens: list[Box]) -> Array:
        """Factors between ⊙ and ⊘, from left to right."""
        result, sign, factor = None, "", []
        for token in [*tokens, Operator("⊙")]:
            if isinstance(token, Operator) and token.text in "⊙⊘":
                value = self._juxtaposed(factor)
                if result is not None:
                    assert result.shape == value.shape
                result = value if result is None else (
                    result * value if sign == "⊙" else result / value)
                sign, factor = token.text, []
            else:
                factor.append(token)
        assert result is not None
        return result

    def _juxtaposed(self, tokens: list[Box]) -> Array:
        values = [self._atom(t) for t in tokens if not isinstance(t, Times)]
        result = values[0]
        for value in values[1:]:
            scalar = result.size == 1 or value.size == 1
            result = result * value if scalar else result @ value
        return result

    def _atom(self, box: Box) -> Array:
        if isinstance(box, Fenced):
            return self.read(box.body)
        if isinstance(box, Name):
            known = box.text in self.inputs
            return self.inputs[box.text] if known else np.full((1, 1), float(SIZES[box.text]))
        if isinstance(box, Digits):
            return np.full((1, 1), float(box.text))
        if isinstance(box, Over):
            above, below = self.read(box.above), self.read(box.below)
            assert above.size == below.size == 1
            return above / below
        if isinstance(box, Root):
            return np.sqrt(self.read(box.body))
        if isinstance(box, Raised):
            return self._raised(box)
        if isinstance(box, Lowered) and isinstance(box.base, Ones):
            rows, cols = (t for t in self._tokens(box.below) if not isinstance(t, Operator))
            return np.ones((self._size(rows), self._size(cols)))
        assert isinstance(box, Call)
        return self._call(box)

    def _size(self, box: Box) -> int:
        assert isinstance(box, Name | Digits)
        return SIZES[box.text]

    def _raised(self, box: Raised) -> Array:
        base = self._atom(box.base)
        if box.above == Operator("⊤"):
            return base.T
        tokens = self._tokens(box.above)
        marked = tokens[0] == Operator("⊙", prefix=True)
        assert marked or 1 in base.shape, "the plain power of a matrix is another thing"
        exponent = self.read(Row(tuple(tokens[marked:])))
        return base ** exponent.item()

    def _call(self, box: Call) -> Array:
        if isinstance(box.function, Lowered):
            (argument,) = box.arguments
            value = self.read(argument)
            side = box.function.below
            rows, cols = self.shape
            assert (value.shape[0] if side == Upright("r") else value.shape[1]) == 1
            return np.broadcast_to(value, _repeated_shape(value, side == Upright("r"), rows, cols))
        assert isinstance(box.function, Upright)
        return _FUNCTIONS[box.function.text](*(self.read(a) for a in box.arguments))


def _repeated_shape(value: Array, is_row: bool, rows: int, cols: int) -> tuple[int, int]:
    return (rows, value.shape[1]) if is_row else (value.shape[0], cols)


def _inputs(expr: Expr) -> dict[str, Array]:
    generator = np.random.default_rng(7)
    found = {}
    for node in ex.topological(expr):
        if node.op == "symbol":
            rows, cols = (SIZES[d] for d in node.shape)
            found[str(node.attr)] = generator.uniform(0.5, 1.5, (rows, cols))
    return found


# Random expressions; repetition only to N rows or K columns, as the reader assumes.


@cache
def _leaf(shape: ex.Shape) -> st.SearchStrategy[Expr]:
    names = {("N", "K"): "XYZ", ("1", "K"): ["b", "gamma"], ("N", "1"): ["u", "sum_X"],
             ("1", "1"): ["c", "epsilon"], ("K", "D"): ["W"], ("N", "N"): ["S"]}  # fmt: skip
    symbols = st.sampled_from([ex.symbol(name, shape) for name in names[shape]])
    if shape != ("1", "1"):
        return symbols
    numbers = [ex.number(Fraction(n, d)) for n in (-3, -1, 1, 2) for d in (1, 2)]
    return st.one_of(symbols, st.sampled_from([*numbers, ex.size("N"), ex.size("K")]))


@cache
def _expressions(shape: ex.Shape, depth: int) -> st.SearchStrategy[Expr]:
    if depth == 0:
        return _leaf(shape)

    def same() -> st.SearchStrategy[Expr]:
        return _expressions(shape, depth - 1)

    def of(other: ex.Shape) -> st.SearchStrategy[Expr]:
        return _expressions(other, depth - 1)

    exponents = st.sampled_from([Fraction(q) for q in (-2, -1, 2, 3)])
    options = [
        _leaf(shape),
        st.builds(ex.add, same(), same()),
        st.builds(lambda a, b: a - b, same(), same()),
        st.builds(ex.hadamard, same(), same()),
        st.builds(lambda a, b: a / (1 + b * b), same(), same()),
        st.builds(ex.power, same(), exponents),
        st.builds(lambda a: ex.power(1 + a * a, Fraction(1, 2)), same()),
        st.builds(lambda a: ex.power(1 + a * a, Fraction(-1, 2)), same()),
        st.builds(lambda a: ex.elementwise("exp", a / (1 + a * a)), same()),
        st.builds(lambda c, a: c * a, of(("1", "1")), same()),
    ]
    if shape == ("N", "K"):
        options += [
            st.builds(lambda v: ex.row_repeat(v, "N"), of(("1", "K"))),
            st.builds(lambda u: ex.column_repeat(u, "K"), of(("N", "1"))),
            st.builds(lambda a, w: a @ w.T, of(("N", "K")), st.just(ex.symbol("V", ("K", "K")))),
            st.builds(lambda s, a: s @ a, of(("N", "N")), of(("N", "K"))),
            st.builds(lambda c: ex.scalar_repeat(c, ("N", "K")), of(("1", "1"))),
        ]
    elif shape == ("1", "K"):
        options.append(st.builds(lambda a: ex.reduce("columns_sum", a), of(("N", "K"))))
        options.append(st.builds(lambda u, a: u.T @ a, of(("N", "1")), of(("N", "K"))))
    elif shape == ("N", "1"):
        options.append(st.builds(lambda a: ex.reduce("rows_mean", a), of(("N", "K"))))
        options.append(st.builds(ex.diag, of(("N", "N"))))
    elif shape == ("1", "1"):
        options.append(st.builds(lambda a: ex.reduce("elements_sum", a), of(("N", "K"))))
    elif shape == ("N", "N"):
        options.append(st.builds(ex.diagonal_matrix, of(("N", "1"))))
        options.append(st.builds(lambda a, b: a @ b.T, of(("N", "K")), of(("N", "K"))))
    return st.one_of(options)


expressions = st.sampled_from(SHAPES).flatmap(lambda shape: _expressions(shape, 3))


def _no_division_by_zero(value: Array) -> bool:
    return bool(np.isfinite(value).all())


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_a_formula_read_as_mathematics_has_the_value_of_its_expression(expr: Expr) -> None:
    inputs = _inputs(expr)
    with np.errstate(all="ignore"):
        wanted = _value(expr, inputs)
        if not _no_division_by_zero(wanted) or abs(wanted).max() > 1e12:
            return
        found = _Reader(inputs, (SIZES["N"], SIZES["K"])).read(expression_box(expr))
    assert found.shape == wanted.shape
    np.testing.assert_allclose(found, wanted, rtol=1e-8, atol=1e-8 * (1 + abs(wanted).max()))


def _check_mathml(text: str) -> None:
    root = ET.fromstring(text)  # noqa: S314 - our own text
    assert {element.tag.rpartition("}")[2] for element in root.iter()} <= _ELEMENTS
    wanted = {"mfrac": 2, "msup": 2, "msub": 2}
    for element in root.iter():
        tag = element.tag.rpartition("}")[2]
        assert len(element) == wanted.get(tag, len(element))
    assert "\\" not in text
    assert "$" not in text


def _check_latex(text: str) -> None:
    depth = 0
    for brace in re.findall(r"\\.|[{}]", text):
        depth += {"{": 1, "}": -1}.get(brace, 0)
        assert depth >= 0
    assert depth == 0
    assert text.count(r"\left") == text.count(r"\right")
    assert text.isascii()


@settings(max_examples=200, deadline=None)
@given(expressions)
def test_every_expression_prints_well_formed(expr: Expr) -> None:
    _check_mathml(to_mathml(expr))
    _check_latex(to_latex(expr))


def test_every_primitive_prints() -> None:
    A, B = ex.symbol("A", ("N", "K")), ex.symbol("B", ("N", "K"))
    extra = {
        "identity": ex.identity("N"),
        "size": ex.size("N"),
        "number": ex.number(Fraction(-3, 4)),
        "symbol": A,
        "target_product": target_product(A, B),
        "rows_shift": ex.node("rows_shift", (A,), ("N", "1")),
        "columns_shift": ex.node("columns_shift", (A,), ("1", "K")),
        "at_least_one": ex.node("at_least_one", (ex.reduce("rows_sum", A),), ("N", "1")),
    }
    shown = dict(examples())
    shown |= {name: [node] for name, node in extra.items()}
    assert set(shown) == set(PRIMITIVES)
    for nodes in shown.values():
        for node in nodes:
            _check_mathml(to_mathml(node))
            _check_latex(to_latex(node))


x, a = sp.symbols("x alpha", real=True)


@pytest.mark.parametrize(
    "formula",
    [
        lambda x: x * (1 + sp.erf(x / sp.sqrt(2))) / 2,
        lambda x: sp.Piecewise((x, (x > 0) & (x < 6)), (6, x >= 6), (0, True)),
        lambda x: sp.Max(x, 0) - sp.Abs(x) ** sp.Rational(3, 2),
        lambda x: -sp.log(1 + sp.exp(-x)) + sp.sin(x) ** 2 / sp.cosh(x) ** 3,
        lambda x: sp.pi * x - sp.E**2,
        lambda x: sp.tanh(sp.sqrt(2 / sp.pi) * (x + sp.Rational(44715, 10**6) * x**3)),
        lambda x: x ** sp.Rational(-2, 3),
        lambda x: 2**x,
        lambda x: 0 * x,
    ],
)
def test_every_scalar_function_and_its_derivative_print(formula: object) -> None:
    f = trace_scalar(formula, 1, "f", {0: 0, 6: 0} if "6, x" in str(formula) else _kinks(formula))
    for g in (f, f.derivative(0), f.derivative(0).derivative(0)):
        _check_mathml(function_mathml(g))
        _check_latex(function_latex(g))


def _kinks(formula: object) -> dict[object, object]:
    """The kinks of the functions above: their points with the left derivative."""
    expr = formula(x)  # type: ignore[operator]
    if expr.has(sp.Piecewise):
        return {0: 0, 6: 0}
    return {0: 0} if expr.has(sp.Max) else {}


A = ex.symbol("A", ("N", "K"))
u, v, c = ex.symbol("u", ("N", "1")), ex.symbol("v", ("1", "K")), ex.symbol("c", ("1", "1"))


@pytest.mark.parametrize(
    ("expr", "latex"),
    [
        (A @ A.T, r"A\, A^{\top}"),
        (A / ex.column_repeat(u, "K"), r"A \oslash \operatorname{rep}_{\operatorname{c}}(u)"),
        (-A + ex.row_repeat(v, "N"), r"\operatorname{rep}_{\operatorname{r}}(v) - A"),
        (A**2 * Fraction(1, 2), r"\frac{1}{2}\, A^{\odot2}"),
        (1 - A, r"\mathbf{1}_{N \times K} - A"),
        (v / c, r"\frac{1}{c}\, v"),
    ],
)
def test_formulas_read_as_in_a_paper(expr: Expr, latex: str) -> None:
    assert to_latex(expr) == latex


def test_names_stand_for_their_nodes_but_not_for_the_whole() -> None:
    A = ex.symbol("A", ("N", "K"))
    total = ex.reduce("rows_sum", A)
    assert to_latex(ex.elementwise("exp", total), {total: "s"}) == r"\operatorname{exp}(s)"
    assert to_latex(total, {total: "s"}) == r"\operatorname{rows\_sum}(A)"


def test_greek_names_become_letters() -> None:
    assert "Dγ" in to_mathml(ex.symbol("Dgamma", ("1", "K")))
    assert to_latex(ex.symbol("epsilon", ("1", "1"))) == r"\epsilon"
