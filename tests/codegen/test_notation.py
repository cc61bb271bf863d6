"""Scripts that cannot be read leave one clear error with line and remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from gradwright.codegen.derivation import derive_all
from gradwright.codegen.errors import GradwrightError, NotationError, ShapeError
from gradwright.codegen.notation import Layer
from gradwright.codegen.scripts import load_script

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
