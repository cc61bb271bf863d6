"""Whole networks: proved as one program, and equal to the shipped kernels joined by the chain rule."""

from __future__ import annotations

import subprocess
import sys
from functools import cache
from importlib import import_module

import numpy as np
import pytest

from gradwright.codegen.network import (
    NetworkDerivation,
    derive_network,
    proves,
    reject_mutants,
)
from gradwright.codegen.report.network import guarantees
from gradwright.codegen.text import to_text
from gradwright.codegen.verify.evaluate import Evaluation
from gradwright.codegen.verify.exact import ExactChecker
from gradwright.codegen.verify.fields import REALS
from gradwright.composition import compose
from gradwright.kernels import known
from gradwright.specification import LayerSpecification, Specification

HIDDEN = {"plain": {}, "normalised": {"batchnorm": True}, "dropped": {"dropout": 0.5}}


@cache
def derived(activation: str = "relu", loss: str = "half_squared_error", kind: str = "plain",
            depth: int = 2) -> NetworkDerivation:  # fmt: skip
    sizes = [(4, 3), (3, 5), (5, 2)][3 - depth :]
    output = {"cross_entropy": "softmax", "binary_cross_entropy": "sigmoid"}.get(loss, "identity")
    layers = tuple(LayerSpecification(*size, activation, **HIDDEN[kind]) for size in sizes[:-1])
    last = LayerSpecification(*sizes[-1], output)
    return derive_network(compose(Specification((*layers, last), loss)), "net", "A network.")


def test_the_composed_program_is_proved_for_every_size() -> None:
    found = derived()
    assert [name for name, _ in found.gradients] == ["X", "W1", "b1", "W2", "b2"]
    assert len(found.proof_id) == 64


def test_the_backward_pass_reads_as_the_chain_rule() -> None:
    lines = [line for step in reversed(derived().steps) for line in step.backward]
    texts = [f"{line.name} = {to_text(line.expr)}" for line in lines]
    assert texts == [
        "DZ2 = scale * DL * R2", "DA1 = DZ2 @ W2", "DW2 = DZ2^T @ A1", "Db2 = columns_sum(DZ2)",
        "DZ1 = relu'(Z1) * DA1", "DX = DZ1 @ W1", "DW1 = DZ1^T @ X", "Db1 = columns_sum(DZ1)",
    ]  # fmt: skip


DEEP = {
    "ten layers": (["relu", "gelu", "tanh", "silu", "elu"] * 2, {}),
    "batch normalisation": (["relu", "tanh", "gelu"], {"batchnorm": True}),
    "everything": (["relu"] * 4, {"batchnorm": True, "dropout": 0.5, "density": 0.5}),
    "rows within": (["softmax", "log_softmax"], {}),
}


@pytest.mark.parametrize("kind", DEEP)
def test_networks_of_any_depth_are_proved_for_every_size(kind: str) -> None:
    names, options = DEEP[kind]
    layers = [LayerSpecification(2, 2, name, **options) for name in names]
    made = Specification((*layers, LayerSpecification(2, 2, "softmax")), "cross_entropy")
    found = derive_network(compose(made), "net", "A network.")
    assert {f"Z{i}" for i in range(1, len(names) + 2)} <= {seam.name for seam in found.seams}
    assert proves(found.program, found.proof, found.gradients)
    ((name, gradient),) = (g for g in found.gradients if g[0] == "W1")
    assert not proves(found.program, found.proof, ((name, 2 * gradient),))


def _activations() -> list[str]:
    return [name for name in known("activation") if name != "identity"]


@pytest.mark.parametrize("activation", _activations())
def test_every_activation_is_proved_within_a_network(activation: str) -> None:
    layers = (LayerSpecification(2, 2, activation), LayerSpecification(2, 2))
    made = Specification(layers, "half_squared_error")
    found = derive_network(compose(made), "net", "A network.")
    assert found.exact is not None


@pytest.mark.parametrize("loss", known("loss"))
def test_every_loss_is_proved_behind_a_network(loss: str) -> None:
    layers = (LayerSpecification(2, 2, "tanh"), LayerSpecification(2, 2, "sigmoid"))
    found = derive_network(compose(Specification(layers, loss)), "net", "A network.")
    assert found.exact is not None


def test_a_wrong_gradient_of_a_network_is_refused() -> None:
    found = derived()
    assert found.exact is not None
    wrong = tuple((n, 2 * g if n == "W1" else g) for n, g in found.gradients)
    assert proves(found.program, found.proof, found.gradients)
    assert not proves(found.program, found.proof, wrong)
    checker = ExactChecker(found.program, wrong, proof=found.proof, sizes=found.exact.sizes)
    counterexample = checker.check(wrong).counterexample
    assert counterexample is not None
    assert "DW1" in counterexample


def test_every_planted_error_is_rejected() -> None:
    assert reject_mutants(derived()) >= 15


@pytest.mark.parametrize(("depth", "state"), [(2, "checked"), (4, "not checked")])
def test_what_could_not_be_checked_is_said(depth: int, state: str) -> None:
    layers = [LayerSpecification(2, 2, "tanh", batchnorm=True)] * depth
    made = Specification((*layers, LayerSpecification(2, 2)), "half_squared_error")
    found = derive_network(compose(made), "net", "A network.")
    assert [claim["state"] for claim in guarantees(found)] == ["proved", "proved", state]


def test_planted_errors_are_rejected_in_a_normalised_network() -> None:
    assert reject_mutants(derived("tanh", "cross_entropy", "normalised")) >= 12


@pytest.mark.parametrize(
    ("activation", "loss", "kind"),
    [
        ("relu", "half_squared_error", "plain"),
        ("gelu", "cross_entropy", "normalised"),
        ("tanh", "binary_cross_entropy", "dropped"),
    ],
)
def test_the_derived_gradients_are_those_of_the_shipped_kernels(
    activation: str, loss: str, kind: str
) -> None:
    found = derived(activation, loss, kind)
    sizes = {"N": 5, **found.composition.sizes}
    values = _random_values(found, sizes)
    expected = _by_kernels(found, values)
    symbols = {name: np.atleast_2d(value) for name, value in values.items()}
    symbols |= {"DL": np.ones((1, 1)), "scale": np.full((1, 1), 1 / 5)}
    symbols |= {"epsilon": np.full((1, 1), 1e-5)}
    evaluation = Evaluation(sizes, {REALS.level: symbols})
    for name, gradient in found.gradients:
        computed = evaluation.value(gradient, REALS).astype(float)
        np.testing.assert_allclose(computed, np.atleast_2d(expected[name]), rtol=1e-9, atol=1e-12)


def _random_values(found: NetworkDerivation, sizes: dict[str, int]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    values = {}
    for item in found.composition.inputs:
        rows, columns = (sizes.get(dim, 1) for dim in item.shape)
        drawn = rng.normal(size=(rows, columns) if item.shape[0] != "1" else columns)
        if item.kind == "target":
            drawn = np.abs(drawn) / np.abs(drawn).sum(axis=1, keepdims=True)
        values[item.name] = drawn
    return values


def _by_kernels(
    found: NetworkDerivation, values: dict[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """The generated NumPy modules, forward and then back."""
    known, pullbacks = dict(values), []
    for part in found.composition.parts:
        module = import_module(f"gradwright.generated.numpy.{part.kernel}")
        arguments = [known[value.name] for value in part.inputs]
        known[part.output.name], pullback = module.vjp(*arguments)
        pullbacks.append((part, pullback))
    gradients: dict[str, np.ndarray] = {"L": 1.0}  # type: ignore[dict-item]
    for part, pullback in reversed(pullbacks):
        result = pullback(gradients[part.output.name])
        wanted = [v.name for v in part.inputs if v.kind not in ("target", "mask", "pattern")]
        gradients |= dict(zip(wanted, result if isinstance(result, tuple) else (result,), strict=True))
    return gradients


def test_a_page_of_a_network_needs_no_generated_kernels() -> None:
    program = """
import sys
class Missing:
    def find_spec(self, name, *_):
        if name.startswith("gradwright.generated"):
            raise ImportError(name)
sys.meta_path.insert(0, Missing())
from gradwright.codegen.shipped_networks import SHIPPED
from gradwright.composition import compose
from gradwright.kernels import known
from gradwright.memory import memory_table
for network in SHIPPED:
    compose(network.specification), memory_table(network.specification, 64, ("m", "v"))
"""
    subprocess.run([sys.executable, "-c", program], check=True)
