"""Gains of activations: derived mean squares, their closed forms, and the module made of them."""

import math
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest
import sympy as sp

import gradwright.derivations.activations as activations
from gradwright.codegen import gains
from gradwright.codegen.errors import ProofFailure
from gradwright.codegen.gain_table import render_gains
from gradwright.codegen.gains import Gain, find_gains
from gradwright.codegen.notation import Layer
from gradwright.codegen.report.gains import gains_page
from gradwright.codegen.verify.floating import load_numpy
from gradwright.derivations.linear import affine, linear
from gradwright.derivations.losses import huber
from gradwright.derivations.rectifiers import prelu, srelu

ALL = [item for item in vars(activations).values() if isinstance(item, Layer)]
HALF, ROOT = sp.Rational(1, 2), sp.sqrt(2)


@cache
def found() -> dict[str, Gain]:
    layers = [*ALL, prelu, srelu]
    return {gain.name: gain for gain in find_gains(item.program() for item in layers)}


@cache
def module() -> dict[str, Any]:
    """The generated module, run as it is."""
    return vars(load_numpy(render_gains(found().values()), "gains"))


def test_every_activation_has_a_gain_and_other_layers_have_none() -> None:
    assert set(found()) == {item.name for item in ALL} | {"prelu", "srelu"}
    assert find_gains([linear.program(), affine.program(), huber.program()]) == ()


@pytest.mark.parametrize(
    ("name", "closed"),
    [
        ("relu", lambda: HALF),
        ("leaky_relu", lambda alpha: (1 + alpha**2) / 2),
        ("prelu", lambda alpha: (1 + alpha**2) / 2),
        ("all_relu", lambda alpha: (1 + alpha**2) / 2),
        ("elu", lambda alpha: HALF + alpha**2 * (
            HALF + sp.exp(2) * sp.erfc(ROOT) / 2 - sp.exp(HALF) * sp.erfc(1 / ROOT))),
        ("hard_tanh", lambda: 1 - sp.sqrt(2 / sp.pi) * sp.exp(-HALF)),
        ("trelu", lambda epsilon: sp.erfc(epsilon / ROOT) / 2
            + epsilon * sp.exp(-(epsilon**2) / 2) / sp.sqrt(2 * sp.pi)),
    ],
)  # fmt: skip
def test_closed_form_is_the_known_one(name: str, closed: Callable[..., sp.Expr]) -> None:
    form = found()[name].mean_square.closed
    assert form is not None
    assert sp.simplify(form - closed(*form.free_symbols)) == 0


def test_gain_of_relu_is_that_of_he_and_selu_is_a_fixed_point() -> None:
    assert module()["GAINS"]["relu"]() ** 2 == pytest.approx(2, rel=1e-15)
    assert found()["selu"].mean_square.digits == "1.0000000000000000000"


def test_mean_squares_agree_with_a_sample() -> None:
    """A million normal numbers: each function as SymPy defines it, evaluated by NumPy."""
    z = np.random.default_rng(0).normal(size=1_000_000)
    values = {"al": 0.2, "tl": -0.5, "ar": 1.5, "tr": 1.0}
    for name, gain in found().items():
        given = [values.get(n, 0.3 if d is None else d) for n, d in gain.parameters]
        numpy = [{"erf": np.vectorize(math.erf)}, "numpy"]
        f = sp.lambdify(gain.function.variables, gain.function.expr, numpy)
        with np.errstate(over="ignore"):
            y = np.asarray(f(z, *given))
        wanted = 1 / math.sqrt(np.mean(np.square(y)))
        assert module()["GAINS"][name](*given) == pytest.approx(wanted, rel=5e-3), name


def test_number_that_does_not_agree_with_its_closed_form_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gains, "_collected", lambda expr: 2 * expr)
    with pytest.raises(ProofFailure, match=r"by numerical integration 0\.5"):
        find_gains([activations.relu.program()])


def test_antiderivatives_are_differentiated_back(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gains, "_density", lambda u: sp.exp(-(u**2)))
    gains._antiderivative.cache_clear()
    with pytest.raises(ProofFailure, match="not proved"):
        gains._antiderivative(2, sp.S.Zero)
    gains._antiderivative.cache_clear()


def test_module_needs_the_standard_library_alone() -> None:
    text = render_gains(found().values())
    assert [line for line in text.splitlines() if "import" in line] == [
        "import math", "from collections.abc import Callable",
    ]  # fmt: skip
    assert text == render_gains(find_gains(i.program() for i in [*ALL, prelu, srelu]))


def test_page_shows_every_gain_and_how_it_is_known() -> None:
    page = gains_page(list(found().values()))
    for name, gain in found().items():
        assert f'id="{name}"' in page
        assert gain.mean_square.digits is None or gain.mean_square.digits in page
    assert page.count("closed form</span>") == sum(
        gain.mean_square.closed is not None for gain in found().values()
    )
