"""What the scripts and their documentation say of one another, proved for all sizes."""

import pytest

from gradwright.codegen import expression as ex
from gradwright.codegen.expression import Expr
from gradwright.codegen.notation import *
from gradwright.codegen.notation import Layer
from gradwright.codegen.primitives import Entries
from gradwright.codegen.prove import equal_everywhere
from gradwright.derivations import losses, weighted_losses

POSITIVE = frozenset({"c", "delta", "scale"})


def proved(one: Expr, other: Expr) -> bool:
    return equal_everywhere(one, other, Entries(POSITIVE))


def symbol(name: str, rows: str = "1", cols: str = "1") -> Expr:
    return ex.symbol(name, (rows, cols))


def limited(norm, c):  # type: ignore[no-untyped-def]
    """What gradients are multiplied by when their common norm is held within c."""
    return Piecewise((c / norm, norm > c), (1, True))


def smaller(norm, c):  # type: ignore[no-untyped-def]
    return Piecewise((c, norm > c), (norm, True))


def test_norm_of_clipped_gradients_is_the_smaller_of_norm_and_limit() -> None:
    """Two parameters of different sizes, whose gradients have one norm."""
    G, H, c = symbol("G", "N", "K"), symbol("H", "M", "D"), symbol("c")

    def norm(first: Expr, second: Expr) -> Expr:
        return sqrt(elements_sum(square(first)) + elements_sum(square(second)))

    before = norm(G, H)
    factor = apply(limited, before, c)
    clipped = square(norm(factor * G, factor * H))
    assert proved(clipped, square(apply(smaller, before, c)))
    assert not proved(clipped, square(before))
    assert not proved(clipped, square(c))


@pytest.mark.parametrize("name", ["cross_entropy", "logistic_cross_entropy", "softmax_cross_entropy"])
def test_loss_linear_in_its_targets_takes_weights_through_them(name: str) -> None:
    """Twice the weights are twice the loss, and weights add."""
    program = getattr(losses, name).program()
    target = symbol("T", "N", "K")
    first, second = symbol("u", "N", "1"), symbol("v", "N", "1")

    def loss(weight: Expr) -> Expr:
        return ex.substitute(program.output, {target: column_repeat(weight, K) * target})

    assert proved(loss(first + second), loss(first) + loss(second))
    assert proved(loss(ones(N, 1)), program.output)


def test_weighted_softmax_cross_entropy_is_that_of_weighted_and_smoothed_targets() -> None:
    program = weighted_losses.weighted_softmax_cross_entropy.program()
    plain = losses.softmax_cross_entropy.program()
    target, s = symbol("T", "N", "K"), symbol("smoothing")
    rows, classes = symbol("weight", "N", "1"), symbol("class_weight", "1", "K")
    mixed = (1 - s) * target + ones(N, K) * (s / K)
    changed = column_repeat(rows, K) * row_repeat(classes, N) * mixed
    assert proved(program.output, ex.substitute(plain.output, {target: changed}))


PLAIN = [
    name.removeprefix("weighted_") for name, item in vars(weighted_losses).items()
    if isinstance(item, Layer) and name.startswith("weighted_")
]  # fmt: skip


@pytest.mark.parametrize("name", PLAIN)
def test_weighted_loss_with_weights_of_one_is_the_plain_loss(name: str) -> None:
    weighted = getattr(weighted_losses, f"weighted_{name}").program()
    replaced = {
        symbol("weight", "N", "1"): ones(N, 1), symbol("class_weight", "1", "K"): ones(1, K),
        symbol("smoothing"): ex.number(0),
    }  # fmt: skip
    assert proved(ex.substitute(weighted.output, replaced), getattr(losses, name).program().output)


@pytest.mark.parametrize("name", PLAIN)
def test_weighted_loss_is_linear_in_its_weights(name: str) -> None:
    output = getattr(weighted_losses, f"weighted_{name}").program().output
    weight, other = symbol("weight", "N", "1"), symbol("v", "N", "1")

    def loss(value: Expr) -> Expr:
        return ex.substitute(output, {weight: value})

    assert proved(loss(weight + other), loss(weight) + loss(other))
    assert not proved(loss(2 * weight), loss(weight))
