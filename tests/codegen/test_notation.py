"""Scripts that cannot be read leave one clear error with line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradwright.codegen.derivation import derive_all
from gradwright.codegen.errors import GradwrightError, NotationError, ShapeError
from gradwright.codegen.notation import Abs, Layer, Piecewise, Rational, exp
from gradwright.codegen.scalar import trace_scalar
from gradwright.codegen.scripts import load_script
from gradwright.derivations.softmax import softmax

HEAD = "from gradwright.codegen.notation import *\n\n\n"

BAD_SCRIPTS = {
    "shapes differ": (
        "@layer\ndef f(X: Matrix[N, K], b: Row[K]):\n    return X + b\n",
        6, "row_repeat(..., N)",
    ),
    "inner sizes differ": (
        "@layer\ndef f(X: Matrix[N, D], W: Matrix[K, D]):\n    return X @ W\n",
        6, "did you mean the transpose",
    ),
    "unknown primitive": (
        "@layer\ndef f(X: Matrix[N, K]):\n    return row_summ(X)\n", 6, "primitives",
    ),
    "undeclared size": (
        "@layer\ndef f(X: Matrix[N, K]):\n    return row_repeat(columns_sum(X), M)\n",
        None, "the size M is not declared",
    ),
    "undeclared size name": (
        "@layer\ndef f(X: Matrix[N, Q]):\n    return X\n", 5, "sizes('A B')",
    ),
    "no shape": ("@layer\ndef f(X):\n    return X\n", None, "has no shape"),
    "reserved word": (
        "@layer\ndef f(double: Matrix[N, K]):\n    return double\n", None, "reserved word",
    ),
    "reserved gradient name": (
        "@layer\ndef f(X: Matrix[N, K], DX: Matrix[N, K]):\n    return X * DX\n",
        None, "DX is the gradient of X",
    ),
    "not ascii": (
        "@layer\ndef f(Ω: Matrix[N, K]):\n    return Ω\n", None, "is no identifier",
    ),
    "returns nothing": ("@layer\ndef f(X: Matrix[N, K]):\n    X + X\n", None, "returns nothing"),
    "truth value": (
        "@layer\ndef f(X: Matrix[N, K]):\n    return X if X else -X\n", 6, "no truth value",
    ),
    "recursion": ("@layer\ndef f(X: Matrix[N, K]):\n    return f(X)\n", 4, "calls itself"),
    "no end": (
        "@layer\ndef f(X: Matrix[N, K]):\n    while True:\n        X = X + 1\n    return X\n",
        7, "does not come to an end",
    ),
    "too many operations": (
        "@layer\ndef f(X: Matrix[N, K]):\n    for _ in range(600):\n        X = X * X + 1\n"
        "    return X\n",
        4, "split it into layers",
    ),
    "exit": ("import sys\n\nsys.exit(3)\n", 6, "the script ends the program"),
    "nothing to derive": (
        "@layer\ndef f(X: Constant[N, K]):\n    return X\n", 4, "nothing to derive",
    ),
    "star": ("@layer\ndef f(*X: Matrix[N, K]):\n    return X[0]\n", 4, "without *"),
    "default outside its domain": (
        "@layer\ndef f(X: Matrix[N, K], e: Positive = -1):\n    return X * e\n", 4, "domain: positive",
    ),
    "division by zero": (
        "@layer\ndef f(X: Matrix[N, K]):\n    return X / (X - X)\n", None, "a divisor is zero",
    ),
    "NumPy's function": (
        "import numpy\n\n\n@layer\ndef f(X: Matrix[N, K]):\n    return numpy.exp(X)\n",
        9, "such as exp(X)",
    ),
    "method": ("@layer\ndef f(X: Matrix[N, K]):\n    return X.sum()\n", 6, "rows_sum(X)"),
    "comparison": ("@layer\ndef f(X: Matrix[N, K]):\n    return X if X > 0 else -X\n", 6, "truth value"),
    "maximum of a matrix": ("@layer\ndef f(X: Matrix[N, K]):\n    return Max(X, 0)\n", 6, "kinks={0: 0}"),
    "unknown power": (
        "@layer\ndef f(X: Matrix[N, K], p: Real):\n    return X**p\n", 6, "apply(lambda x, p: x**p, X, p)",
    ),
    "name of the generated code": (
        "@layer\ndef f(X: Matrix[N, K], rows: Row[K]):\n    return X * row_repeat(rows, N)\n",
        4, "reserved word",
    ),
    "undeclared kink": (
        "@activation\ndef f(x):\n    return Max(x, 0)\n", None, "kinks={0: 0}",
    ),
    "wrong kink": (
        "@activation(kinks={0: 3})\ndef f(x):\n    return Max(x, 0)\n", None, "declared as 3",
    ),
    "unknown scalar function": (
        "import sympy\n\n@activation\ndef f(x):\n    return sympy.gamma(x)\n",
        None, "gamma(x) has no rule",
    ),
    "foreign symbol": (
        "import sympy\n\n@activation\ndef f(x):\n    return x * sympy.Symbol('y')\n",
        None, "no argument",
    ),
    "syntax": ("@layer\ndef f(X: Matrix[N, K]):\n    return X +\n", 6, "invalid syntax"),
    "no layer": ("x = 1\n", None, "defines no layer"),
    "string annotation": (
        "@layer\ndef f(X: 'Matrix[N, K]'):\n    return X\n", None, "is a string",
    ),
    "python error": (
        "@layer\ndef f(X: Matrix[N, K]):\n    return X * [1, 2][5]\n", 6, "IndexError",
    ),
    "fact without use": (
        "@layer\ndef f(X: Matrix[N, K]):\n"
        "    assume('odd', exp(X), X, 'exp is the identity')\n    return X\n",
        None, "cannot be used",
    ),
}  # fmt: skip


def derive_script(path: Path) -> None:
    for item in load_script(path):
        if isinstance(item, Layer):
            derive_all(item)


@pytest.mark.parametrize("case", BAD_SCRIPTS)
def test_a_bad_script_leaves_one_error_with_its_remedy(case: str, tmp_path: Path) -> None:
    body, line, remedy = BAD_SCRIPTS[case]
    path = tmp_path / "my_layer.py"
    path.write_text(HEAD + body)
    with pytest.raises(NotationError) as caught:
        derive_script(path)
    message = str(caught.value)
    assert remedy in message
    assert "Traceback" not in message
    if line is not None:
        assert f"my_layer.py:{line}:" in message


def test_shape_errors_are_their_own_kind(tmp_path: Path) -> None:
    path = tmp_path / "my_layer.py"
    path.write_text(HEAD + BAD_SCRIPTS["shapes differ"][0])
    with pytest.raises(ShapeError):
        derive_script(path)


def test_a_string_is_never_an_expression(tmp_path: Path) -> None:
    path = tmp_path / "my_layer.py"
    bomb = tmp_path / "touched"
    code = f"__import__(\"pathlib\").Path(\"{bomb}\").touch()"
    path.write_text(HEAD + f"@layer\ndef f(X: Matrix[N, K]):\n    return X + {code!r}\n")
    with pytest.raises(GradwrightError, match="neither a matrix expression"):
        derive_script(path)
    assert not bomb.exists()


def test_names_of_the_script_are_the_names_of_the_program() -> None:
    from gradwright.derivations.normalisation import batchnorm

    program = batchnorm.program()
    assert [name for _, name in program.names] == ["mu", "R", "var", "inv_std", "Z"]
    assert program.output_name == "Y"


def test_a_script_is_read_under_a_profiler() -> None:
    import cProfile

    profiler = cProfile.Profile()
    profiler.enable()
    program = softmax.program()
    profiler.disable()
    assert [name for _, name in program.names] == ["E"]
    assert any("program" in str(entry.code) for entry in profiler.getstats())


def test_conditions_may_hold_branches() -> None:
    f = trace_scalar(lambda r: Piecewise((r**2 / 2, Abs(r) <= 1), (Abs(r) - Rational(1, 2), True)), 1)
    assert [f.expr.subs(f.variables[0], x) for x in (-3, -1, 0, 2)] == [
        Rational(5, 2), Rational(1, 2), 0, Rational(3, 2),
    ]  # fmt: skip


def test_a_kink_declared_with_the_constants_of_the_script_is_recognised() -> None:
    scale, alpha = 1.0507009873554805, 1.6732632423543772
    f = trace_scalar(
        lambda x: Piecewise((scale * x, x > 0), (scale * alpha * (exp(x) - 1), True)),
        1, "selu", {0: scale * alpha},
    )  # fmt: skip
    assert float(f.derivative(0).expr.subs(f.variables[0], 0)) == pytest.approx(scale * alpha, rel=1e-15)
