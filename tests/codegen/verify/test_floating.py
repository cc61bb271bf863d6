"""P4 passes right kernels and catches wrong arithmetic, however small."""

from dataclasses import replace
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
import sympy as sp

import gradwright.derivations.activations as activations
import gradwright.derivations.linear as linears
import gradwright.derivations.losses as losses
import gradwright.derivations.normalisation as normalisations
import gradwright.derivations.softmax as softmaxes
from gradwright.codegen import expression as ex
from gradwright.codegen.derivation import Derivation, derive
from gradwright.codegen.errors import KernelFailure
from gradwright.codegen.targets import numpy_target
from gradwright.codegen.verify.edges.limits import limit
from gradwright.codegen.verify.floating import (
    FLOAT32_BOUND_ULP,
    FLOAT64_BOUND,
    check_floating,
    load_numpy,
)
from gradwright.codegen.verify.inputs import draw_sample
from gradwright.codegen.verify.reference import Reference

SOFTMAX = derive(softmaxes.softmax)
BATCHNORM = derive(normalisations.batchnorm)
CROSS_ENTROPY = derive(losses.softmax_cross_entropy)


def source(derivation: Derivation) -> str:
    return next(iter(numpy_target.render(derivation).values()))


def with_fault(derivation: Derivation, right: str, wrong: str) -> object:
    text = source(derivation)
    assert right in text
    return load_numpy(text.replace(right, wrong), derivation.name)


@pytest.mark.parametrize("derivation", [SOFTMAX, BATCHNORM, CROSS_ENTROPY], ids=lambda d: d.name)
def test_emitted_numpy_is_as_exact_as_its_dtype(derivation: Derivation) -> None:
    module = load_numpy(source(derivation), derivation.name)
    errors = check_floating(derivation, {"numpy": module})["numpy"]
    assert errors["float64"] < FLOAT64_BOUND / 4
    assert errors["float32_ulp"] < FLOAT32_BOUND_ULP / 4


def test_sums_in_float32_are_caught_in_float64() -> None:
    linear = derive(linears.linear)
    right = load_numpy(source(linear), "linear")

    def in_float32(*arrays: np.ndarray) -> np.ndarray:
        return right.forward(*(a.astype("f4") for a in arrays)).astype(arrays[0].dtype)

    faulty = SimpleNamespace(forward=in_float32, backward=right.backward)
    with pytest.raises(KernelFailure, match=r"linear: faulty: Y\[\d+, \d+\] is .* in float64"):
        check_floating(linear, {"faulty": faulty})


def test_softmax_without_its_shift_is_caught() -> None:
    faulty = with_fault(SOFTMAX, "_shift(Z_rows, axis=1)", "np.zeros(len(Z_rows), Z.dtype)")
    with pytest.raises(KernelFailure, match="softmax: faulty: Y"):
        check_floating(SOFTMAX, {"faulty": faulty})


def test_a_gradient_off_by_a_billionth_is_caught() -> None:
    faulty = with_fault(SOFTMAX, 'return _deliver("DZ", DZ, out)', "return DZ * (1 + 1e-9)")
    with pytest.raises(KernelFailure, match="softmax: faulty: DZ"):
        check_floating(SOFTMAX, {"faulty": faulty})


def test_epsilon_ignored_is_caught() -> None:
    faulty = with_fault(BATCHNORM, "np.sqrt(var + epsilon)", "np.sqrt(var)")
    with pytest.raises(KernelFailure, match="batchnorm: faulty: Y"):
        check_floating(BATCHNORM, {"faulty": faulty})


def test_reduction_ignored_is_caught() -> None:
    faulty = with_fault(CROSS_ENTROPY, 'if reduction == "sum":', 'if reduction == "total":')
    with pytest.raises((KernelFailure, ValueError)):
        check_floating(CROSS_ENTROPY, {"faulty": faulty})


def test_results_of_another_dtype_are_caught() -> None:
    faulty = with_fault(SOFTMAX, 'return _deliver("DZ", DZ, out)', "return DZ.astype('f8')")
    with pytest.raises(KernelFailure, match="DZ has dtype float64 for inputs of float32"):
        check_floating(SOFTMAX, {"faulty": faulty})


def test_a_wrong_derived_gradient_is_no_reference() -> None:
    """The reference gradient is certified by the definition: it cannot agree with its own error."""
    ((name, right),) = SOFTMAX.gradients
    wrong = replace(SOFTMAX.simplified, claims=((name, ex.hadamard(ex.number(2), right)),))
    faulty = replace(SOFTMAX, simplified=wrong)
    with pytest.raises(KernelFailure, match="directional derivative"):
        check_floating(faulty, {"numpy": load_numpy(source(SOFTMAX), "softmax")})


def test_the_directional_derivative_is_exact_to_thirty_digits() -> None:
    program = SOFTMAX.program
    sample = draw_sample(program, {"N": 2, "K": 3}, "test")
    reference = Reference(program, sample.sizes, {**sample.values, "DY": sample.upstream})
    direction = np.arange(6.0).reshape(2, 3)
    with mpmath.workdps(50):
        exact = (reference.value(SOFTMAX.gradient("Z")) * direction).sum()
        found = reference.directional_derivative(sample.upstream, {"Z": direction})
        assert abs(found - exact) < mpmath.mpf(10) ** -30


@pytest.mark.parametrize("layer", [activations.gelu, activations.silu, activations.hyperbolic_tangent,
                                   activations.softplus], ids=lambda l: l.name)  # fmt: skip
def test_limits_are_those_of_sympy(layer: object) -> None:
    f = layer.scalar_function()
    for g in (f, f.derivative(0)):
        for side in (1, -1):
            assert limit(g, side, []) == float(sp.limit(g.expr, g.variables[0], side * sp.oo))
