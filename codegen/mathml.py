"""Matrix expressions as mathematics: MathML and LaTeX.

Input: an `Expr` and names for some of its nodes. Output: a formula that is a true matrix equation
with exact shapes: repetition is written as rep_r(v) and rep_c(u), a number in every entry as
c 1 with its shape. ⊙ and ⊘ are the element-wise product and quotient, A^⊙q the element-wise
power; other functions act on every entry. Guaranteed: every expression prints.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from fractions import Fraction

from . import expression as ex
from .expression import Expr, Shape
from .formula import (
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
    Times,
    Upright,
    row,
    separated,
)  # fmt: skip
from .formula_latex import latex
from .formula_mathml import mathml
from .scalar import ScalarFunction
from .scalar_formula import definition, function_name
from .text import negated

_SUM, _PRODUCT, _MATMUL, _UNARY, _ATOM = 1, 2, 3, 4, 5
_HALF = Fraction(1, 2)
Names = Mapping[Expr, str]
_Placed = tuple[Box, int]


def to_mathml(expr: Expr, names: Names | None = None) -> str:
    """A `math` element; nodes in `names` are written by name, the expression itself is not."""
    return math_element(expression_box(expr, names))


def to_latex(expr: Expr, names: Names | None = None) -> str:
    """LaTeX for math mode; nodes in `names` are written by name, the expression itself is not."""
    return latex(expression_box(expr, names)).strip()


def math_element(box: Box, alternative: str = "") -> str:
    """The `math` element of a box. `alternative` is for readers without MathML."""
    from html import escape

    alttext = f' alttext="{escape(alternative)}"' if alternative else ""
    return (
        f'<math xmlns="http://www.w3.org/1998/Math/MathML" display="block"{alttext}>'
        f"{mathml(box)}</math>"
    )


def expression_box(expr: Expr, names: Names | None = None) -> Box:
    return _Layout(names or {}).place(expr, top=True)[0]


def adjoint_box(expr: Expr, names: Names | None = None) -> Box:
    """D[...]: the adjoint of a node without a name."""
    return row(Name("D"), Fenced(expression_box(expr, names), brackets="[]"))


def shape_box(shape: Shape) -> Box:
    return separated([_size(d) for d in shape], Operator("×"))


def scalar_functions(exprs: Iterable[Expr]) -> list[ScalarFunction]:
    """The scalar functions the expressions apply that are not standard, in order of first use."""
    found: dict[ScalarFunction, None] = {}
    for node in ex.topological(*exprs):
        f = node.attr
        if isinstance(f, ScalarFunction) and type(f.expr).__name__ != f.name:
            found[f] = None
    return list(found)


def function_mathml(f: ScalarFunction) -> str:
    """f(x) = formula, for the where-clause of an equation."""
    return math_element(definition(f))


def function_latex(f: ScalarFunction) -> str:
    return latex(definition(f)).strip()


def _size(dim: str) -> Box:
    return Digits(dim) if dim.isdigit() else Name(dim)


class _Product:
    """Factors of a product: a number, scalars and matrices, above and below the bar."""

    def __init__(self) -> None:
        self.number = Fraction(1)
        self.scalars: tuple[list[_Placed], list[_Placed]] = ([], [])
        self.matrices: tuple[list[_Placed], list[_Placed]] = ([], [])

    def coefficient(self) -> list[Box]:
        """|number| times the scalars, as one fraction where there is a denominator."""
        ordered = sorted(self.scalars[0], key=lambda item: isinstance(item[0], Call))
        above = [_fence(_MATMUL, item) for item in ordered]
        below = [_fence(_MATMUL, item) for item in self.scalars[1]]
        numerator, denominator = abs(self.number.numerator), self.number.denominator
        if numerator != 1:
            above.insert(0, Digits(str(numerator)))
        if denominator != 1:
            below.insert(0, Digits(str(denominator)))
        if not below:
            return above
        lone = self.scalars[0] if len(above) == 1 and len(self.scalars[0]) == 1 else []
        top = lone[0][0] if lone else separated(above, Times()) if above else Digits("1")
        lone = self.scalars[1] if len(below) == 1 and len(self.scalars[1]) == 1 else []
        return [Over(top, lone[0][0] if lone else separated(below, Times()))]


def _fence(level: int, placed: _Placed) -> Box:
    return placed[0] if placed[1] >= level else Fenced(placed[0])


class _Layout:
    """Boxes of nodes with the level at which they bind."""

    def __init__(self, names: Names) -> None:
        self._names = names

    def at_least(self, level: int, expr: Expr) -> Box:
        return _fence(level, self.place(expr))

    def place(self, expr: Expr, top: bool = False) -> _Placed:
        if expr in self._names and not top:
            return Name(self._names[expr]), _ATOM
        special = {
            "add": self._sum, "hadamard": self._product, "target_product": self._product,
            "matmul": self._matmul, "transpose": self._transpose, "power": self._power,
            "scalar_repeat": self._product, "row_repeat": self._product,
            "column_repeat": self._product, "apply": self._apply, "step_power": self._step_power,
        }  # fmt: skip
        if expr.op in special:
            return special[expr.op](expr)
        if expr.op in ("symbol", "step"):
            return Name(str(expr.attr)), _ATOM
        if expr.op == "size":
            return _size(str(expr.attr)), _ATOM
        if expr.op == "number":
            return _number(Fraction(str(expr.attr)))
        if expr.op == "identity":
            return Lowered(Name("I"), _size(expr.rows)), _ATOM
        if expr.op == "at_least_one":
            return Call(Upright("max"), (self.place(expr.args[0])[0], Digits("1"))), _ATOM
        return Call(Upright(expr.op), tuple(self.place(a)[0] for a in expr.args)), _ATOM

    def _sum(self, expr: Expr) -> _Placed:
        """a - b for a + -b, and b - a for -a + b."""
        left, right = expr.args
        if negated(left) is not None and left not in self._names and negated(right) is None:
            left, right = right, left
        first = self.at_least(_SUM, left)
        positive = None if right in self._names else negated(right)
        if positive is not None:
            return row(first, Operator("−"), self.at_least(_PRODUCT, positive)), _SUM
        return row(first, Operator("+"), self.at_least(_SUM, right)), _SUM

    def _matmul(self, expr: Expr) -> _Placed:
        parts = [self.at_least(_MATMUL, a) for a in expr.args]
        return separated(parts, Times()), _MATMUL

    def _transpose(self, expr: Expr) -> _Placed:
        return Raised(self.at_least(_ATOM, expr.args[0]), Operator("⊤")), _UNARY

    def _apply(self, expr: Expr) -> _Placed:
        f = expr.attr
        assert isinstance(f, ScalarFunction)
        bare = [a.args[0] if a.op == "scalar_repeat" else a for a in expr.args]
        return Call(function_name(f), tuple(self.place(a)[0] for a in bare)), _ATOM

    def _power(self, expr: Expr) -> _Placed:
        exponent = expr.attr
        assert isinstance(exponent, Fraction)
        if exponent < 0 and expr.is_scalar:
            return self._product(expr)
        return self._raised(self.place(expr.args[0]), exponent, expr.shape)

    def _step_power(self, expr: Expr) -> _Placed:
        base, exponent = expr.args
        return Raised(self.at_least(_ATOM, base), self.place(exponent)[0]), _UNARY

    def _raised(self, base: _Placed, exponent: Fraction, shape: Shape) -> _Placed:
        """Of a whole matrix the element-wise power is marked; a vector has no other."""
        if exponent == 1:
            return base
        if exponent == _HALF and "1" in shape:
            return Root(base[0]), _ATOM
        power, _ = _number(exponent)
        mark = [] if "1" in shape else [Operator("⊙", prefix=True)]
        return Raised(_fence(_ATOM, base), row(*mark, power)), _UNARY

    def _product(self, expr: Expr) -> _Placed:
        product = self._collected(expr, _Product(), top=True)
        above, below = product.matrices
        parts = product.coefficient()
        if not above and below and not expr.is_scalar:
            first, *rest = below
            below = rest
            above = [self._raised(first, Fraction(-1), expr.shape)]
        if not above and not expr.is_scalar:
            above = [(Lowered(Ones(), shape_box(expr.shape)), _UNARY)]
        if product.number == 0:
            parts = [Digits("0")]
        if not parts and not above:
            parts = [Digits("1")]
        lonely = len(above) == 1 and not below
        level = _PRODUCT
        if lonely and not parts:
            level = above[0][1]
        elif not above and len(parts) == 1:
            level = _ATOM if isinstance(parts[0], Digits | Name) else _PRODUCT
        wanted = level if lonely and not parts else _MATMUL if lonely else _UNARY
        fenced = [_fence(wanted, item) for item in above]
        if fenced:
            parts.append(separated(fenced, Operator("⊙")))
        box = separated(parts, Times())
        for item in below:
            box = row(box, Operator("⊘"), _fence(_UNARY, item))
        if product.number < 0:
            return row(Operator("−", prefix=True), box), _SUM
        return box, level

    def _collected(self, part: Expr, product: _Product, top: bool = False) -> _Product:
        """Add the factors of a node; numbers and scalars leave repetitions."""
        number = ex.number_of(part)
        if part in self._names and not top:
            self._factor(part, product, below=False)
        elif number is not None:
            product.number *= number
        elif part.op in ("hadamard", "target_product"):
            for arg in part.args:
                self._collected(arg, product)
        elif part.op == "scalar_repeat":
            self._collected(part.args[0], product)
        elif part.op in ("row_repeat", "column_repeat"):
            self._repeated(part, product)
        elif part.op == "power" and isinstance(part.attr, Fraction) and part.attr < 0:
            base = ex.power(part.args[0], -part.attr)
            self._factor(base, product, below=True)
        else:
            self._factor(part, product, below=False)
        return product

    def _factor(self, part: Expr, product: _Product, below: bool) -> None:
        side = product.scalars if part.is_scalar else product.matrices
        side[below].append(self.place(part))

    def _repeated(self, part: Expr, product: _Product) -> None:
        """rep(c v / u) is c rep(v ⊘ u), and 1 / rep(u) for rep(1 / u)."""
        inner = self._collected(part.args[0], _Product(), top=part.args[0] not in self._names)
        product.number *= inner.number
        for mine, its in zip(product.scalars, inner.scalars, strict=True):
            mine.extend(its)
        above, below = inner.matrices
        if not above and not below and part.args[0].is_scalar:
            return
        fenced = [_fence(_UNARY, item) for item in above]
        if len(above) == 1 and not below:
            fenced = [above[0][0]]
        body = separated(fenced, Operator("⊙")) if above else None
        if body is None and len(below) == 1:
            product.matrices[1].append((_repetition(part, below[0][0]), _ATOM))
        elif body is None and not below:
            ones = Lowered(Ones(), shape_box(part.args[0].shape))
            product.matrices[0].append((_repetition(part, ones), _ATOM))
        else:
            if body is None:
                body = self._raised(below.pop(0), Fraction(-1), part.args[0].shape)[0]
            for item in below:
                body = row(body, Operator("⊘"), _fence(_UNARY, item))
            product.matrices[0].append((_repetition(part, body), _ATOM))


def _repetition(node: Expr, body: Box) -> Box:
    side = "r" if node.op == "row_repeat" else "c"
    return Call(Lowered(Upright("rep"), Upright(side)), (body,))


def _number(value: Fraction) -> _Placed:
    shown: Box = Digits(str(abs(value.numerator)))
    if value.denominator != 1:
        shown = Over(shown, Digits(str(value.denominator)))
    if value < 0:
        return row(Operator("−", prefix=True), shown), _SUM
    return shown, _ATOM if value.denominator == 1 else _PRODUCT
