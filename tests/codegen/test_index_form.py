"""The proof kernel: identities it knows, traps it must not fall into, and what it refuses."""

from __future__ import annotations

import itertools
import random
import subprocess
import sys
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradwright.codegen import index_form as ix
from gradwright.codegen.index_form import Poly


def x(*labels: str) -> Poly:
    return ix.element("X", *labels)


def y(*labels: str) -> Poly:
    return ix.element("Y", *labels)


def summed(body: Poly, *bound: str) -> Poly:
    return ix.sum_over(body, [(label, label.upper()) for label in bound])


def softmax(n: str, k: str) -> Poly:
    total = ix.sum_over(ix.exp(x(n, "q")), [("q", "K")])
    return ix.exp(x(n, k)) * ix.power(total, -1)


def test_summed_indices_have_no_names_of_their_own() -> None:
    assert summed(x("n", "k"), "k") == ix.sum_over(x("n", "other"), [("other", "K")])


def test_alpha_equivalence_holds_for_nested_sums() -> None:
    inner = ix.power(ix.sum_over(ix.exp(x("n", "k")), [("k", "K")]), -1)
    first = ix.sum_over(inner * y("n"), [("n", "N")])
    renamed = ix.power(ix.sum_over(ix.exp(x("a", "b")), [("b", "K")]), -1)
    assert first == ix.sum_over(renamed * y("a"), [("a", "N")])


def test_a_free_label_is_not_captured_by_a_sum_of_the_same_name() -> None:
    row_total = ix.sum_over(x("n", "k"), [("k", "K")])
    product = row_total * y("k")
    assert ix.rename(product, {"n": "k"}) == ix.sum_over(x("k", "m"), [("m", "K")]) * y("k")


def test_the_square_of_a_sum_is_a_double_sum_and_not_a_sum_of_squares() -> None:
    total = summed(x("n"), "n")
    double = ix.sum_over(x("n") * x("m"), [("n", "N"), ("m", "N")])
    assert ix.power(total, 2) == double
    assert ix.power(total, 2) != summed(x("n") * x("n"), "n")


def test_an_unused_index_contributes_its_dimension() -> None:
    assert summed(y("k"), "n") == ix.size("N") * y("k")


def test_a_delta_on_a_summed_index_substitutes() -> None:
    assert ix.sum_over(ix.delta("n", "a") * x("n", "k"), [("n", "N")]) == x("a", "k")


def test_a_delta_of_free_indices_makes_them_equal_everywhere() -> None:
    assert ix.delta("a", "b") * x("b") == ix.delta("a", "b") * x("a")


def test_factors_without_the_index_leave_the_sum() -> None:
    assert summed(x("n", "k") * y("n"), "k") == y("n") * summed(x("n", "k"), "k")


def test_independent_sums_split() -> None:
    both = ix.sum_over(x("n") * y("k"), [("n", "N"), ("k", "K")])
    assert both == summed(x("n"), "n") * summed(y("k"), "k")


def test_exponential_of_a_sum_splits_and_of_a_log_folds() -> None:
    assert ix.exp(x("n") + y("n")) == ix.exp(x("n")) * ix.exp(y("n"))
    p = ix.element("P", positive=True)
    assert ix.exp(ix.log(p)) == p
    assert ix.exp(-ix.log(p)) == ix.power(p, -1)


def test_log_does_not_split_factors_of_unknown_sign() -> None:
    assert ix.log(x("n") * y("n")) != ix.log(x("n")) + ix.log(y("n"))


def test_the_root_of_a_square_is_not_the_value() -> None:
    assert ix.power(ix.power(x("n"), 2), Fraction(1, 2)) != x("n")


def test_the_root_of_a_positive_square_is_the_value() -> None:
    p = ix.element("P", "n", positive=True)
    assert ix.power(ix.power(p, 2), Fraction(1, 2)) == p


def test_logistic_identities_hold() -> None:
    sigmoid = ix.power(ix.UNIT + ix.exp(-x("n")), -1)
    mirrored = ix.power(ix.UNIT + ix.exp(x("n")), -1)
    assert sigmoid == ix.UNIT - mirrored
    z = ix.element("Z")
    s = ix.power(ix.UNIT + ix.exp(-z), -1)
    assert ix.differentiate(s, "Z", ()) == s * (ix.UNIT - s)


def test_rows_of_a_softmax_sum_to_one() -> None:
    assert ix.sum_over(softmax("n", "k"), [("k", "K")]) == ix.UNIT


def test_softmax_does_not_change_under_a_shift_of_its_rows() -> None:
    def shifted(n: str, k: str) -> Poly:
        def moved(i: str, j: str) -> Poly:
            return ix.exp(x(i, j) + ix.element("c", i))

        return moved(n, k) * ix.power(ix.sum_over(moved(n, "q"), [("q", "K")]), -1)

    assert shifted("n", "k") == softmax("n", "k")


def test_centred_columns_sum_to_zero() -> None:
    mean = ix.power(ix.size("N"), -1) * ix.sum_over(x("m", "k"), [("m", "N")])
    assert ix.sum_over(x("n", "k") - mean, [("n", "N")]) == ix.ZERO


def test_derivatives_inside_a_function_keep_the_outer_sum_together() -> None:
    total = ix.sum_over(ix.power(ix.sum_over(ix.exp(x("n", "k")), [("k", "K")]), -1), [("n", "N")])
    found = ix.differentiate(total, "X", ("a", "b"))
    wanted = -ix.exp(x("a", "b")) * ix.power(ix.sum_over(ix.exp(x("a", "k")), [("k", "K")]), -2)
    assert found == wanted


def test_keys_of_function_bodies_do_not_depend_on_free_labels() -> None:
    body = ix.exp(x("n", "k") * x("n", "m"))
    assert ix.rename(body, {"k": "z", "m": "a"}) == ix.exp(x("n", "z") * x("n", "a"))
    assert ix.rename(ix.rename(body, {"n": "t"}), {"t": "n"}) == body


def test_the_first_maximum_gets_the_gradient() -> None:
    mask = ix.selection(x("n", "k"), "k", "K", "j")
    assert mask * mask == mask
    assert ix.differentiate(mask, "X", ("a", "b")) == ix.ZERO


def test_a_wrong_gradient_is_not_proved() -> None:
    upstream = ix.element("G", "n", "k")
    total = ix.sum_over(upstream * softmax("n", "k"), [("n", "N"), ("k", "K")])
    right = ix.differentiate(total, "X", ("a", "b"))
    inner = ix.sum_over(ix.element("G", "a", "q") * softmax("a", "q"), [("q", "K")])
    assert ix.is_zero(right - softmax("a", "b") * (ix.element("G", "a", "b") - inner))
    assert not ix.is_zero(right - softmax("a", "b") * (ix.element("G", "a", "b") + inner))
    assert not ix.is_zero(right)


def test_common_denominators_are_cleared_before_giving_up() -> None:
    p, q = (ix.element(name, positive=True) for name in "PQ")
    left = ix.power(p + q, -1) + ix.power(ix.scale(p, Fraction(2)) + q, -1)
    right = (ix.scale(p, Fraction(3)) + ix.scale(q, Fraction(2))) * ix.power(
        (p + q) * (ix.scale(p, Fraction(2)) + q), -1
    )
    assert ix.is_zero(left - right)


def test_a_power_of_zero_with_a_negative_exponent_is_an_error() -> None:
    with pytest.raises(ZeroDivisionError):
        ix.power(ix.ZERO, -1)


def _terms() -> list[Poly]:
    return [
        x("n", "k") * y("k"),
        ix.exp(x("n", "k")) * y("n"),
        ix.sum_over(x("n", "m") * x("k", "m"), [("m", "M")]),
        ix.power(ix.UNIT + ix.exp(x("n", "k")), -2),
        ix.size("N") * ix.delta("n", "k"),
        ix.constant(Fraction(3, 7)) * ix.function("erf", x("n", "k")),
    ]


@settings(max_examples=60, deadline=None)
@given(st.randoms(use_true_random=False))
def test_sums_and_products_do_not_depend_on_the_order_of_terms(rng: random.Random) -> None:
    terms = _terms()
    shuffled = terms[:]
    rng.shuffle(shuffled)
    assert ix.add(*terms) == ix.add(*shuffled)
    assert ix.product(terms[:4]) == ix.product(
        sorted(terms[:4], key=lambda _: rng.random())
    )


@settings(max_examples=40, deadline=None)
@given(st.permutations(["a", "b", "c"]))
def test_contractions_are_confluent_in_the_order_of_their_sums(order: list[str]) -> None:
    body = x("n", "a") * y("a", "b") * x("b", "c") * y("c", "n")
    dims = {"a": "A", "b": "A", "c": "A"}
    stepwise = body
    for label in order:
        stepwise = ix.sum_over(stepwise, [(label, dims[label])])
    assert stepwise == ix.sum_over(body, list(dims.items()))


def test_normal_forms_are_the_same_for_any_hash_seed() -> None:
    program = (
        "from gradwright.codegen.derivation import derive\n"
        "from gradwright.derivations.normalisation import batchnorm\n"
        "found = derive(batchnorm)\n"
        "print(found.proof_id, [p.key for _, p in found.proof.gradients], found)"
    )
    outputs = {
        subprocess.run(
            [sys.executable, "-c", program],
            env={"PYTHONHASHSEED": seed, "PATH": ""},
            capture_output=True,
            check=True,
            text=True,
        ).stdout
        for seed in ("0", "1", "4711")
    }
    assert len(outputs) == 1


def test_a_root_of_a_sum_with_a_quotient_in_it_has_a_normal_form() -> None:
    inner = ix.sum_over(x("n", "k") * y("n", "k"), [("k", "K")]) + ix.size("K")
    outer = ix.constant(2) - ix.size("K") * ix.power(inner, -1)
    root = ix.power(outer, Fraction(-1, 2)) * ix.power(inner, Fraction(-1, 2))
    assert ix.is_zero(ix.power(root, 2) * (ix.scale(inner, Fraction(2)) - ix.size("K")) - ix.UNIT)


def test_fractional_powers_are_cleared_before_a_difference_is_given_up() -> None:
    base = ix.power(x("n"), 2) + ix.power(y("n"), 2)
    one = ix.power(x("n"), 2) * ix.power(base, Fraction(-1, 2))
    other = ix.power(base, Fraction(1, 2)) - ix.power(y("n"), 2) * ix.power(base, Fraction(-1, 2))
    assert ix.is_zero(one - other)


def test_the_square_of_a_sum_counts_its_index_twice() -> None:
    total = ix.sum_over(x("k"), [("k", "K")])
    assert ix.index_counts(ix.power(total, 2), {}) == {"K": 2}


def test_sign_of_a_branch_is_decided_case_by_case() -> None:
    """x where x > 0, else a (exp(x) - 1): positive just where x is, for positive a only."""
    x, holds = ix.element("x"), ix.step(ix.element("x"))
    for a, known in ((ix.element("a", positive=True), True), (ix.element("a"), False)):
        value = holds * x + (ix.UNIT - holds) * a * (ix.exp(x) - ix.UNIT)
        assert ix.is_zero(ix.step(value) - holds) is known


def test_sign_of_an_exponential_beyond_one_is_that_of_its_exponent() -> None:
    x, y = ix.element("x"), ix.element("y")
    grown = ix.exp(x + y) - ix.UNIT
    assert ix.step(grown) == ix.step(x + y)
    assert ix.step(-grown) == ix.step(-x - y)
    assert ix.step(ix.exp(x) - ix.constant(2)) != ix.step(x)
    assert ix.step(ix.exp(x) + ix.UNIT) != ix.step(x)


def test_a_root_keeps_its_whole_part_next_to_a_divided_sum() -> None:
    """8^(1/2) = 2 2^(1/2), also where the leading term of a sum is divided out of the product."""
    x = ix.element("X", "a")
    root = ix.power(ix.constant(8), Fraction(1, 2))
    quotient = x * ix.power(x + ix.size("N"), -1)
    assert root * quotient == (ix.constant(2) * ix.power(ix.constant(2), Fraction(1, 2))) * quotient
    divided = ix.power(ix.constant(2), Fraction(3, 2)) * ix.power(x + ix.size("N"), -1) * x
    assert ix.is_zero(divided - root * quotient)


def test_a_long_chain_of_one_array_is_labelled_quickly() -> None:
    labels = [f"l{i}" for i in range(9)]
    ring = [ix.element("S", a, b) for a, b in itertools.pairwise([*labels, labels[0]])]
    turned = [ix.element("S", a, b) for a, b in itertools.pairwise([*labels[4:], *labels[:4], labels[4]])]
    bound = [(label, "N") for label in labels]
    assert ix.sum_over(ix.product(ring), bound) == ix.sum_over(ix.product(turned), bound)


def test_equal_indices_need_no_permutations() -> None:
    labels = [f"l{i}" for i in range(8)]
    power = ix.product(ix.element("X", "n", label) for label in labels)
    total = ix.sum_over(power, [("n", "N"), *((label, "K") for label in labels)])
    again = ix.sum_over(power, [*((label, "K") for label in reversed(labels)), ("n", "N")])
    assert total == again


def test_the_logarithm_of_a_sum_is_one_however_it_was_reached() -> None:
    x = ix.exp(ix.element("X", "a"))
    assert ix.log(ix.power(ix.UNIT + x, -1)) == -ix.log(ix.UNIT + x)
