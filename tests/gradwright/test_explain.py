"""What `gradwright explain` says: the seeds' numbers, right where they were and corrected."""

from __future__ import annotations

import json
import re
import subprocess
import sys

import pytest

from gradwright.composition import compose
from gradwright.explain import Explanation, evaluate, explain
from gradwright.memory import memory_table
from gradwright.specification import specify

SIZES = [784, 256, 128, 10]


@pytest.fixture(scope="module")
def network() -> Explanation:
    return explain(specify(SIZES, ["relu", "relu", "softmax"], optimizer="adam"), 64)


@pytest.mark.parametrize(
    ("row", "count"),
    [
        ("weights", 234_752),
        ("biases", 394),
        ("cached activations", 75_392),
        ("cached pre-activations", 25_216),
        ("gradients", 235_146),
        ("states of adam", 2 * 235_146),
    ],
)
def test_the_memory_table_counts(row: str, count: int, network: Explanation) -> None:
    assert network.memory[row].count == count
    assert network.memory[row].bytes == 4 * count


def test_inference_needs_one_layer_at_a_time(network: Explanation) -> None:
    rows = {item.name: item.count for item in network.memory.inference}
    assert rows["largest activation"] == 64 * 784
    assert rows["largest activation"] + rows["beside it"] == 64 * (784 + 256)


def test_the_backward_pass_is_the_chain_rule_in_the_networks_names(network: Explanation) -> None:
    lines = [equation.text for step in network.backward for equation in step.equations]
    assert lines[1:] == [
        "DA2 = DZ3 @ W3", "DW3 = DZ3^T @ A2", "Db3 = columns_sum(DZ3)",
        "DZ2 = relu'(Z2) * DA2",
        "DA1 = DZ2 @ W2", "DW2 = DZ2^T @ A1", "Db2 = columns_sum(DZ2)",
        "DZ1 = relu'(Z1) * DA1",
        "DW1 = DZ1^T @ X", "Db1 = columns_sum(DZ1)",
    ]  # fmt: skip


def test_every_gradient_has_the_shape_of_its_parameter(network: Explanation) -> None:
    shapes = {e.name: e.shape for step in network.backward for e in step.equations}
    for value in compose(specify(SIZES)).parameters:
        assert shapes[f"D{value.name}"] == value.shape


def test_every_name_is_given_or_computed_before_it_is_used() -> None:
    spec = specify([4, 3, 3, 2], ["tanh", "gelu", "softmax"], batchnorm=True, dropout=0.5)
    found = explain(spec, 8)
    known = {value.name for value in found.inputs}
    for step in (*found.forward, *found.backward):
        for equation in step.equations:
            used = set(re.findall(r"\b[A-Za-z_]*[A-Z][A-Za-z_]*[0-9]\b", equation.text))
            assert used - {equation.name} <= known, equation.text
            known.add(equation.name)


def test_batch_normalisation_dropout_and_sparsity_are_counted() -> None:
    spec = specify([10, 8, 2], ["relu", "softmax"], batchnorm=True, dropout=0.5, density=0.25)
    table = memory_table(spec, 3)
    assert table["weights"].count == 20 + 4
    assert table["gamma and beta"].count == 16
    assert table["running statistics"].count == 16
    assert table["cached normalised values and masks"].count == 2 * 3 * 8
    assert table["indices of sparse weights"].count == 20 + 9 + 4 + 3
    assert table.training_bytes == sum(item.bytes for item in table.training)


def test_operations_of_a_sparse_layer_are_those_of_its_weights() -> None:
    dense, sparse = (
        explain(specify([10, 8, 2], ["relu", "softmax"], density=density), 3).operations
        for density in (1.0, [0.25, 0.5])
    )
    saved = dense["forward"]["multiplications"] - sparse["forward"]["multiplications"]
    assert saved == 3 * (80 - 20 + 16 - 8)
    assert sparse["backward"]["multiplications"] < dense["backward"]["multiplications"]


def test_operations_are_evaluated_from_the_layers_formulas() -> None:
    assert evaluate("2 N D K + 3 K + 1", {"D": "H0", "K": "H1"}, {"N": 2, "H0": 3, "H1": 5}) == 76


def test_every_choice_about_targets_and_update_is_told() -> None:
    """None of them is silently ignored."""
    spec = specify(
        [4, 3, 2], [("leaky_relu", {"alpha": 0.2}), "softmax"], clip_norm=0.5, weight_decay=0.01,
        optimizer=("adam", {"beta1": 0.8}), label_smoothing=0.1,
    )  # fmt: skip
    text = str(explain(spec, 8))
    for told in ("leaky_relu(alpha=0.2)", "clip_norm = 0.5", "beta1 = 0.8", "(1 - 0.1) T + 0.1 / K",
                 "weight_decay = 0.01 for weights, 0 for the others",
                 "G ← 2 * huber_of_root'_s(square_norm, clip_norm) * DL * G"):  # fmt: skip
        assert told in text
    plain = str(explain(specify([4, 3, 2]), 8))
    assert "clip_norm" not in plain
    assert "where" not in plain[plain.index("Update") : plain.index("Inference")]


def test_products_for_the_gradient_of_the_samples_are_not_counted(network: Explanation) -> None:
    """A product of 784 x 256 for DW1, and two for each later layer, in every sample."""
    later = 256 * 128 + 128 * 10
    found = network.operations["backward"]["multiplications"]
    assert 0 <= found - 64 * (784 * 256 + 2 * later) < 64 * 1000


def test_the_json_form_holds_everything(network: Explanation) -> None:
    data = json.loads(json.dumps(network.to_json()))
    assert data["sizes"] == {"N": 64, "H0": 784, "H1": 256, "H2": 128, "H3": 10}
    assert data["memory"]["training_bytes"] == network.memory.training_bytes
    assert data["operations"]["forward"]["transcendental"] == 64 * 10 + 2 * 64


def test_a_batch_without_samples_is_refused() -> None:
    with pytest.raises(ValueError, match="batch >= 1"):
        explain(specify(SIZES), 0)


@pytest.mark.parametrize("module", ["sympy", "jinja2", "gradwright.codegen"])
def test_explaining_does_not_load(module: str) -> None:
    program = (
        "import sys\nfrom gradwright.specification import specify\n"
        "from gradwright.explain import explain\n"
        f"str(explain(specify([3, 2]), 1)); sys.exit({module!r} in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
