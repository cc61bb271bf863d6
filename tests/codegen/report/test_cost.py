"""Counts of operations and of values moved, against counts made by hand."""

from __future__ import annotations

import pytest

from gradwright.codegen.derivation import Derivation
from gradwright.codegen.report.cost import Count, entries_of, routine_cost, saved_values


def test_linear_multiplies_and_adds_once_for_each_sample_input_and_output(
    layers: dict[str, Derivation],
) -> None:
    cost = routine_cost(layers["linear"].kernel.forward)
    assert str(cost.operations.multiplications) == "N D K"
    assert str(cost.operations.additions) == "N D K + N K"
    assert str(cost.moved) == "D K + N D + N K + K"


def test_softmax_backward_reads_two_matrices_and_writes_one(layers: dict[str, Derivation]) -> None:
    cost = routine_cost(layers["softmax"].kernel.backward)
    assert str(cost.moved) == "3 N K"
    assert str(cost.operations.multiplications) == "2 N K"
    assert str(cost.operations.additions) == "2 N K"
    assert not cost.operations.transcendental


def test_softmax_forward_takes_one_exponential_and_one_quotient_an_entry(
    layers: dict[str, Derivation],
) -> None:
    cost = routine_cost(layers["softmax"].kernel.forward)
    assert str(cost.operations.transcendental) == "N K"
    assert str(cost.operations.divisions) == "N K"


def test_softmax_keeps_its_output_alone(layers: dict[str, Derivation]) -> None:
    assert saved_values(layers["softmax"].kernel) == [("Y", ("N", "K"))]


@pytest.mark.parametrize(
    ("count", "text", "value"),
    [
        (Count(), "0", 0),
        (entries_of(("1", "1")), "1", 1),
        (entries_of(("K", "N"), ("N", "K"), ("1", "K")), "2 N K + K", 2 * 100 * 7 + 7),
    ],
)
def test_a_count_is_a_polynomial_in_the_sizes(count: Count, text: str, value: int) -> None:
    assert str(count) == text
    assert count.at({"N": 100, "K": 7}) == value
