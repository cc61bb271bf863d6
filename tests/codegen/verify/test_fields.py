"""The residue fields obey the laws that make exact checks of transcendental layers possible."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sympy import isprime

from gradwright.codegen.errors import UnsupportedPrimitive
from gradwright.codegen.verify.fields import (
    CHAIN,
    RESIDUES,
    NoValueError,
    Residues,
    ZeroDivisorError,
)

LAST = RESIDUES[-1]
fields = st.sampled_from(RESIDUES)
fields_with_exp = st.sampled_from(RESIDUES[:-1])
# A multiple of a prime is zero in its field, which has no negative powers.
numbers = st.integers(min_value=1, max_value=10**30).filter(lambda n: all(n % prime for prime in CHAIN))
exponents = st.fractions(min_value=-4, max_value=4, max_denominator=6).filter(bool)


def array(*values: int) -> np.ndarray:
    return np.array([values], dtype=object)


def square(field: Residues, value: int) -> np.ndarray:
    return field.power(field.reduce(array(value)), Fraction(2))


def test_every_prime_is_twice_the_next_one_plus_one():
    assert all(isprime(prime) for prime in CHAIN)
    assert [2 * prime + 1 for prime in CHAIN[1:]] == list(CHAIN[:-1])


@given(fields_with_exp, numbers, numbers)
def test_exp_turns_sums_into_products(field, a, b):
    exponent = field.exponents.reduce(array(a + b))
    parts = [field.exp(field.exponents.reduce(array(x))) for x in (a, b)]
    assert field.exp(exponent) == field.reduce(parts[0] * parts[1])


@given(fields_with_exp, numbers, exponents)
def test_a_power_of_an_exponential_is_the_exponential_of_the_product(field, a, q):
    inner = field.exponents.reduce(array(a))
    scaled = field.exponents.reduce(inner * field.exponents.number(q))
    assert field.power(field.exp(inner), q) == field.exp(scaled)


@given(fields, numbers, numbers, exponents)
def test_powers_of_products_of_squares_split(field, a, b, q):
    left, right = square(field, a), square(field, b)
    product = field.power(field.reduce(left * right), q)
    assert product == field.reduce(field.power(left, q) * field.power(right, q))


@given(fields, numbers, exponents, exponents)
def test_exponents_of_squares_add_up(field, a, p, q):
    base = square(field, a)
    product = field.reduce(field.power(base, p) * field.power(base, q))
    assert product == (field.power(base, p + q) if p + q else field.number(1))


@pytest.mark.parametrize("field", RESIDUES, ids=[f"level {i}" for i, _ in enumerate(RESIDUES)])
def test_sizes_have_roots_and_their_negatives_have_none(field):
    for size in range(1, 23):
        root = field.power(array(size), Fraction(1, 2))
        assert field.power(root, Fraction(2)) == size
        with pytest.raises(NoValueError):
            field.power(field.reduce(array(-size)), Fraction(1, 2))


def test_division_by_zero_is_told_apart_from_a_missing_root():
    with pytest.raises(ZeroDivisorError):
        RESIDUES[0].power(array(3, 0), Fraction(-1))


@given(fields, numbers)
def test_erf_is_odd_and_sine_and_cosine_lie_on_the_circle(field, a):
    x, mirrored = field.reduce(array(a)), field.reduce(array(-a))
    assert field.function("erf", mirrored) == field.reduce(-field.function("erf", x))
    sine, cosine = field.function("sin", x), field.function("cos", x)
    assert field.reduce(sine * sine + cosine * cosine) == 1
    assert field.function("sin", mirrored) == field.reduce(-sine)
    assert field.function("cos", mirrored) == cosine


def test_exponentials_nested_deeper_than_the_chain_are_refused():
    with pytest.raises(UnsupportedPrimitive, match="nested more than 5 deep"):
        LAST.exponents  # noqa: B018
