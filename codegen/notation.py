"""The notation of derivation scripts: matrices over symbolic sizes and the paper's primitives.

    from gradwright.codegen.notation import *

    @layer
    def linear(X: Matrix[N, D], W: Matrix[K, D], b: Row[K]):
        return X @ W.T + row_repeat(b, N)

A script states forward definitions only. Annotations give shapes: `Matrix[N, K]`, `Row[K]`,
`Column[N]` and `Scalar` are variables with a gradient, `Constant[N, K]` and `Target[N, K]` have
none, `Pattern[K, D]` is where a sparse matrix has entries; `Positive`, `NonNegative`,
`UnitInterval`, `Share` and `Real` are hyperparameters. Primitives after arXiv 2511.11918.
Optimizers and theorems about them are written as `optimizer` shows.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import sympy as sp
from sympy import Piecewise, Rational, pi

from . import expression as ex
from .annotations import (
    HYPERPARAMETERS,
    ArgumentType,
    Column,
    Constant,
    D,
    H,
    K,
    M,
    Matrix,
    N,
    NonNegative,
    P,
    Pattern,
    Positive,
    Real,
    Row,
    Scalar,
    Share,
    Size,
    Target,
    UnitInterval,
    default_value,
    in_domain,
    sizes,
)  # fmt: skip
from .errors import NotationError, ShapeError
from .expression import Expr, lift
from .optimizer.rule import Gradient, Parameter, State, Step, optimizer, update
from .optimizer.theorem import (
    Sequence,
    closed_form,
    limit,
    one_step,
    same_step,
    step_bound,
    theorem,
    total,
)  # fmt: skip
from .program import (
    Fact,
    Input,
    Program,
    current_trace,
    located,
    name_inner,
    set_divisor,
    trace_program,
)
from .scalar import ScalarFunction, trace_scalar

__all__ = [
    "Abs", "Column", "Constant", "D", "Diag", "Gradient", "H", "K", "M", "Matrix", "Max",
    "Min", "N", "NonNegative", "P", "Parameter", "Pattern", "Piecewise", "Positive", "Rational", "Real", "Row",
    "Scalar", "Sequence", "Share", "State", "Step", "Target", "UnitInterval", "abs", "activation",
    "apply", "assume", "atan", "batch_mean", "clip", "closed_form", "column_repeat",
    "columns_max", "columns_mean", "columns_sum", "cos", "cosh", "diag", "dot", "elements_sum",
    "erf", "erfc", "exp", "hadamard", "identity", "inv_sqrt", "layer", "limit", "log",
    "log_sigmoid", "one_step", "ones", "optimizer", "pi", "reciprocal", "row_repeat",
    "rows_max", "rows_mean", "rows_sum", "same_step", "sigmoid", "sign", "sin", "sinh",
    "sizes", "softplus", "sqrt", "square", "step_bound", "tan", "tanh", "theorem", "total",
    "update", "zeros",
]  # fmt: skip


def _inputs(function: Callable[..., object]) -> tuple[Input, ...]:
    found = []
    for name, parameter in inspect.signature(function).parameters.items():
        kind, default = parameter.annotation, parameter.default
        if kind is inspect.Parameter.empty:
            raise NotationError(
                f"{function.__name__}: the argument {name} has no shape; write {name}: Matrix[N, K]"
            )
        if isinstance(kind, str):
            raise NotationError(
                f"{function.__name__}: the annotation of {name} is a string; remove "
                "`from __future__ import annotations`"
            )
        if kind in HYPERPARAMETERS:
            found.append(
                Input(
                    name, ("1", "1"), "hyperparameter", kind.domain,
                    _default(name, kind.domain, default),
                )
            )  # fmt: skip
        elif isinstance(kind, ArgumentType):
            found.append(Input(name, kind.shape, kind.role, kind.domain))
        else:
            raise NotationError(
                f"{function.__name__}: {name}: {kind!r} is no shape; write {name}: Matrix[N, K]"
            )
    if not found:
        raise NotationError(f"{function.__name__} takes no arguments; a layer has inputs")
    return tuple(found)


def _default(name: str, domain: str, default: object) -> float | None:
    if default is inspect.Parameter.empty:
        return None
    value = default_value(name, default)
    if not in_domain(value, domain):
        raise NotationError(f"the default of {name} is {default}, which is not in its domain: {domain}")
    return value


# Layers


@dataclass(frozen=True)
class Layer:
    """A forward definition. `program()` reads it; calling it inside another layer inlines it."""

    function: Callable[..., object]
    conventions: tuple[str, ...] = ()
    kinks: tuple[tuple[object, object], ...] | None = None
    output: str | None = None
    given_name: str | None = None

    @property
    def name(self) -> str:
        return self.given_name or self.function.__name__

    @property
    def title(self) -> str:
        """The first line of the docstring."""
        return (inspect.getdoc(self.function) or "").partition("\n")[0]

    @property
    def source(self) -> str:
        return self.function.__code__.co_filename

    def program(self) -> Program:
        """Read the script: run it on symbols and check names, sizes and shapes."""
        with located(self.source, self.function.__code__.co_firstlineno):
            if self.kinks is not None:
                return self._activation_program()
            inputs = _inputs(self.function)
            return trace_program(
                self.function, inputs, codes=_layer_codes(), conventions=self.conventions,
                output_name=self.output, name=self.name,
            )  # fmt: skip

    def _activation_program(self) -> Program:
        scalar = self.scalar_function()
        parameters = list(inspect.signature(self.function).parameters.items())
        extra = []
        for name, parameter in parameters[1:]:
            domain = getattr(parameter.annotation, "domain", "real")
            extra.append(
                Input(
                    name, ("1", "1"), "hyperparameter", domain,
                    _default(name, domain, parameter.default),
                )
            )  # fmt: skip
        inputs = (Input("X", ("N", "K")), *extra)
        declared = tuple(
            f"{self.name}'({_number_text(p)}) = {_number_text(v)}" for p, v in scalar.kinks
        )
        return trace_program(
            self.function, inputs, codes=set(), conventions=self.conventions + declared, call=self,
            name=self.name,
        )  # fmt: skip

    def scalar_function(self) -> ScalarFunction:
        parameters = inspect.signature(self.function).parameters
        positive = [
            name for name, p in parameters.items() if getattr(p.annotation, "domain", "") == "positive"
        ]
        kinks = dict(self.kinks or ())
        return trace_scalar(self.function, len(parameters), self.name, kinks, positive)

    def _on_other_sizes(self, given: Mapping[str, object]) -> Expr | None:
        """The layer on matrices of other sizes than its own, or None where the sizes are its own."""
        values = {n: lift(v) for n, v in given.items() if isinstance(v, Expr)}
        formal = {i.name: i for i in _inputs(self.function)}
        renamed: dict[str, str] = {}
        for name, value in values.items():
            for own, actual in zip(formal[name].shape, value.shape, strict=True):
                if own != "1" and renamed.setdefault(own, actual) != actual:
                    raise ShapeError(
                        f"{self.name}: its size {own} is {renamed[own]} and, in {name}, {actual}"
                    )
        if all(own == actual for own, actual in renamed.items()):
            return None
        program = self.program()
        output = ex.with_sizes(program.output, renamed)
        replacements = {}
        for name, item in formal.items():
            found = given.get(name, item.default)
            if found is None:
                raise NotationError(f"{self.name}: the argument {name} is missing")
            replacements[ex.with_sizes(item.expr, renamed)] = lift(found)
        if program.divisor is not None:
            set_divisor(ex.substitute(ex.with_sizes(program.divisor, renamed), replacements))
        for node, inner in program.names:
            name_inner(inner, ex.substitute(ex.with_sizes(node, renamed), replacements))
        return ex.substitute(output, replacements)

    def __call__(self, *args: object, **named: object) -> Expr:
        given = inspect.signature(self.function).bind(*args, **named)
        if self.kinks is None:
            moved = self._on_other_sizes(given.arguments)
            return lift(self.function(*args, **named)) if moved is None else moved
        given.apply_defaults()
        return _apply_scalar(self.scalar_function(), *given.arguments.values())


_layers: list[Layer] = []


def _layer_codes() -> set[Any]:
    return {item.function.__code__ for item in _layers if item.kinks is None}


def _number_text(value: object) -> str:
    return str(value)


def layer(function: Any = None, *, conventions: tuple[str, ...] | list[str] = (),
          output: str | None = None, name: str | None = None) -> Any:
    """Declare a layer or a loss: a function of annotated arguments that returns one matrix.

    A loss is a layer whose output is 1 x 1. `conventions` are the choices a reader must know.
    """
    if function is None:
        return lambda f: layer(f, conventions=conventions, output=output, name=name)
    made = Layer(function, tuple(conventions), None, output, name)
    _layers.append(made)
    return made


def activation(function: Any = None, *, kinks: Mapping[object, object] | None = None,
               conventions: tuple[str, ...] | list[str] = (), name: str | None = None) -> Any:
    """Declare an element-wise layer by a scalar function of a SymPy symbol.

    Further arguments are hyperparameters. `kinks` gives f' where it jumps: `{0: 0}`.
    """
    if function is None:
        return lambda f: activation(f, kinks=kinks, conventions=conventions, name=name)
    return Layer(function, tuple(conventions), tuple((kinks or {}).items()), None, name)


def assume(name: str, left: object, right: object, text: str = "") -> None:
    """State a fact by name; it makes a named variant whose kernel may use it."""
    one, other = lift(left), lift(right)
    if one.shape != other.shape:
        one, other = ex.matched("assume", one, other)
    current_trace().facts.append(Fact(name, text or f"{name} holds", one, other))


def batch_mean(total: object, divisor: object) -> Expr:
    """A loss's reduction: the total over the divisor; kernels also offer reduction="sum"."""
    set_divisor(lift(divisor))
    return lift(total) * ex.symbol("scale", ("1", "1"))


# Primitives


def hadamard(left: object, right: object) -> Expr:
    """The element-wise product A (.) B."""
    return ex.hadamard(lift(left), lift(right))


def _dim(value: object, what: str) -> str:
    if isinstance(value, Size):
        return value.name
    if value == 1:
        return "1"
    raise ShapeError(f"{what}: {value!r} is no size; sizes are symbols such as N or K")


def row_repeat(row: Expr, rows: Size) -> Expr:
    """rep_r(v) = 1_N v."""
    return ex.row_repeat(lift(row), _dim(rows, "row_repeat"))


def column_repeat(column: Expr, cols: Size) -> Expr:
    """rep_c(u) = u 1_K^T."""
    return ex.column_repeat(lift(column), _dim(cols, "column_repeat"))


def rows_sum(X: Expr) -> Expr:
    """The sum of each row, N x 1."""
    return ex.reduce("rows_sum", lift(X))


def columns_sum(X: Expr) -> Expr:
    """The sum of each column, 1 x K."""
    return ex.reduce("columns_sum", lift(X))


def rows_mean(X: Expr) -> Expr:
    """The mean of each row, N x 1."""
    return ex.reduce("rows_mean", lift(X))


def columns_mean(X: Expr) -> Expr:
    """The mean of each column, 1 x K."""
    return ex.reduce("columns_mean", lift(X))


def rows_max(X: Expr) -> Expr:
    """The maximum of each row; the gradient goes to the first one."""
    return ex.reduce("rows_max", lift(X))


def columns_max(X: Expr) -> Expr:
    """The maximum of each column; the gradient goes to the first one."""
    return ex.reduce("columns_max", lift(X))


def elements_sum(X: Expr) -> Expr:
    """The sum of all entries, 1 x 1."""
    return ex.reduce("elements_sum", lift(X))


def dot(left: Expr, right: Expr) -> Expr:
    """The scalar product of two matrices of one shape, 1 x 1."""
    return elements_sum(hadamard(left, right))


def diag(X: Expr) -> Expr:
    """The diagonal of a square matrix as a column."""
    return ex.diag(lift(X))


def Diag(column: Expr) -> Expr:
    """The square matrix with a column on its diagonal."""
    return ex.diagonal_matrix(lift(column))


def identity(rows: Size) -> Expr:
    return ex.identity(_dim(rows, "identity"))


def ones(rows: Size, cols: Size) -> Expr:
    return ex.scalar_repeat(ex.number(1), (_dim(rows, "ones"), _dim(cols, "ones")))


def zeros(rows: Size, cols: Size) -> Expr:
    return ex.scalar_repeat(ex.number(0), (_dim(rows, "zeros"), _dim(cols, "zeros")))


def square(X: object) -> Expr:
    """X (.) X."""
    return ex.power(lift(X), Fraction(2))


def reciprocal(X: object) -> Expr:
    return ex.power(lift(X), Fraction(-1))


def inv_sqrt(X: object) -> Expr:
    return ex.power(lift(X), Fraction(-1, 2))


def sqrt(X: Any) -> Any:
    """The square root of a matrix, entry by entry, or of a scalar expression."""
    if isinstance(X, Expr | Size):
        return ex.power(lift(X), Fraction(1, 2))
    return sp.sqrt(X)


def exp(X: Any) -> Any:
    """The exponential of a matrix, entry by entry, or of a scalar expression."""
    return ex.elementwise("exp", X) if isinstance(X, Expr) else sp.exp(X)


def log(X: Any) -> Any:
    """The natural logarithm of a matrix, entry by entry, or of a scalar expression."""
    if isinstance(X, Expr | Size):
        return ex.elementwise("log", lift(X))
    return sp.log(X)


def _standard(name: str, f: Callable[[sp.Expr], sp.Expr], X: Any,
              kinks: Mapping[object, object] | None = None) -> Any:
    return _apply_scalar(trace_scalar(f, 1, name, kinks), X) if isinstance(X, Expr) else f(X)


def _entrywise(f: Callable[[sp.Expr], sp.Expr]) -> Callable[[Any], Any]:
    """A function of SymPy for a matrix, entry by entry, or for a scalar expression."""
    name = f.__name__

    def applied(x: Any) -> Any:
        return _standard(name, lambda x: f(x), x)

    applied.__name__ = name
    return applied


tanh, sinh, cosh = _entrywise(sp.tanh), _entrywise(sp.sinh), _entrywise(sp.cosh)
sin, cos, tan, atan = (_entrywise(f) for f in (sp.sin, sp.cos, sp.tan, sp.atan))
erf, erfc = _entrywise(sp.erf), _entrywise(sp.erfc)


def _jumping(f: Callable[..., sp.Expr], example: str) -> Callable[..., sp.Expr]:
    """A function of SymPy whose slope jumps: where it is given a matrix, a script must say to what."""

    def applied(*values: Any) -> sp.Expr:
        if any(isinstance(value, Expr) for value in values):
            raise NotationError(
                f"{f.__name__} of a matrix has a kink; say which slope it has there: "
                f"apply(lambda x: {example}, X, kinks={{0: 0}})"
            )
        return f(*values)

    applied.__name__ = f.__name__
    return applied


Max, Min = _jumping(sp.Max, "Max(x, 0)"), _jumping(sp.Min, "Min(x, 0)")


def Abs(X: Any) -> Any:
    """The absolute value of every entry, with slope 0 at 0, or of a scalar expression."""
    return abs(X) if isinstance(X, Expr) else sp.Abs(X)


def sigmoid(X: Any) -> Any:
    """1 / (1 + exp(-x)) of every entry, or of a scalar expression."""
    return _standard("sigmoid", lambda x: 1 / (1 + sp.exp(-x)), X)


def log_sigmoid(X: Any) -> Any:
    """-log(1 + exp(-x)) of every entry, or of a scalar expression."""
    return _standard("log_sigmoid", lambda x: -sp.log(1 + sp.exp(-x)), X)


def softplus(X: Any) -> Any:
    """log(1 + exp(x)) of every entry, or of a scalar expression."""
    return _standard("softplus", lambda x: sp.log(1 + sp.exp(x)), X)


def abs(X: Any) -> Any:  # noqa: A001
    """The absolute value; its derivative at 0 is 0."""
    return _standard("abs", lambda x: sp.Abs(x), X, {0: 0})


def sign(X: Any) -> Any:
    """1, 0 or -1 of every entry, or of a scalar expression."""
    return _standard("sign", lambda x: sp.sign(x), X)


def clip(X: Expr, low: float, high: float) -> Expr:
    """Every entry held within [low, high]; the derivative at both ends is 0."""
    lower, upper = sp.Rational(str(low)), sp.Rational(str(high))

    def clipped(x: sp.Expr) -> sp.Expr:
        return sp.Piecewise((lower, x <= lower), (upper, x >= upper), (x, True))

    return _apply_scalar(trace_scalar(clipped, 1, "clip", {lower: 0, upper: 0}), X)


def apply(f: Callable[..., Any], X: Expr, *others: object, name: str | None = None,
          kinks: Mapping[object, object] | None = None) -> Expr:
    """A scalar function of SymPy symbols, entry by entry; 1 x 1 operands are repeated."""
    title = name or getattr(f, "__name__", "f")
    if title == "<lambda>":
        title = "f"
    return _apply_scalar(trace_scalar(f, 1 + len(others), title, kinks), X, *others)


def _apply_scalar(f: ScalarFunction, X: object, *others: object) -> Expr:
    first = lift(X)
    operands = [first, *(ex.matched(f.name, first, lift(other))[1] for other in others)]
    if len(operands) != len(f.variables):
        raise NotationError(f"{f.name} takes {len(f.variables)} arguments, got {len(operands)}")
    return ex.node("apply", tuple(operands), first.shape, f)
