"""Scalar functions written in place have the values of their expressions."""

from collections.abc import Callable

import numpy as np
import pytest
import sympy as sp

from gradwright.codegen.scalar import ScalarFunction
from gradwright.codegen.stable import StableScalar
from gradwright.codegen.targets.numpy_function import array_function

x, a = sp.symbols("x a", real=True)
half = sp.Rational(1, 2)
EXPRESSIONS = [
    x, -x, 3 * x, x + 1, 1 - x, a - x, -x - a, x * a, a / x, x / a, 1 / x, -a / (1 + x**2), x**2, x**3, x**4,
    (1 + x) ** 3, (1 + x**2) ** 4, sp.sqrt(1 + x**2), 1 / sp.sqrt(1 + x**2), (1 + x**2) ** sp.Rational(7, 3),
    2**x, (1 + a**2) ** x, sp.exp(-(x**2) / 2) * x, sp.exp(x) * sp.sin(x) + sp.cos(x) * sp.exp(-x) - sp.exp(a * x),
    1 - sp.exp(x) - sp.sin(x), -sp.exp(x) - sp.sin(x), sp.sin(sp.cos(x + a)) / (2 + sp.cos(x)) / (3 + sp.sin(x)),
    sp.tanh(x) * (1 - sp.tanh(x) ** 2), sp.sqrt(2) * x * sp.exp(x) / 3 + sp.pi * x, x * (x + 1) * (x + 2),
    sp.Piecewise((x, x > 0), (a * (sp.exp(x) - 1), True)), sp.Piecewise((1, x >= half), (0, True)),
    sp.Piecewise((sp.sin(x), x > 1), (x**2, x > 0), (-x, True)), sp.Piecewise((a, x > 0), (1, True)) * x + x**2,
    sp.Piecewise((1 + sp.Piecewise((x**2, x > 1), (-x, True)), x > 0), (a, True)),
]  # fmt: skip


def function(expr: sp.Expr, in_place: bool) -> Callable[..., np.ndarray]:
    stable = StableScalar(ScalarFunction("f", (x, a), expr), expr, False, False)
    made = array_function("f", stable, set(), in_place)
    lines = [f"def f({made['arguments']}):", *(f"    {line}" for line in made["body"])]

    def with_nan(value: np.ndarray, _: np.ndarray) -> np.ndarray:
        return value

    scope = {"np": np, "_with_nan": with_nan}
    exec("\n".join(lines), scope)  # noqa: S102
    found: Callable[..., np.ndarray] = scope["f"]  # type: ignore[assignment]
    return found


@pytest.mark.parametrize("in_place", [True, False])
@pytest.mark.parametrize("expr", EXPRESSIONS, ids=str)
def test_the_function_has_the_value_of_its_expression(expr: sp.Expr, in_place: bool) -> None:
    f = function(expr, in_place)
    values = np.random.default_rng(0).normal(size=(5, 4))
    given, parameter = values.copy(), 0.75
    wanted = [[float(expr.subs({x: v, a: parameter})) for v in row] for row in values]
    assert np.allclose(f(given, parameter), wanted, rtol=1e-13, atol=1e-13)
    out = np.full_like(given, np.nan)
    assert f(given, parameter, out=out) is out
    assert np.allclose(out, wanted, rtol=1e-13, atol=1e-13)
    assert np.array_equal(given, values)
