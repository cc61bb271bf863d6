"""What the scripts and their documentation say of one another, proved for all sizes."""

import pytest

from gradwright.codegen import derive
from gradwright.codegen import expression as ex
from gradwright.codegen.expression import Expr
from gradwright.codegen.notation import *
from gradwright.codegen.notation import Layer
from gradwright.codegen.primitives import Entries
from gradwright.codegen.prove import equal_everywhere
from gradwright.derivations import clipping, losses, weighted_losses

POSITIVE = frozenset({"clip_norm", "delta", "scale"})


def proved(one: Expr, other: Expr) -> bool:
    return equal_everywhere(one, other, Entries(POSITIVE))


def symbol(name: str, rows: str = "1", cols: str = "1") -> Expr:
    return ex.symbol(name, (rows, cols))


def smaller_square(s, c):  # type: ignore[no-untyped-def]
    """The square of the smaller of c and the square root of s."""
    return Piecewise((c**2, s > c**2), (s, True))


def clipped(G: Expr, others: Expr) -> Expr:
    """The derived gradient of one of several arrays; `others` are the squares of the other ones."""
    derivation = derive(clipping.clip_by_global_norm)
    replaced = {symbol("G", "N", "K"): G, symbol("others"): others, symbol("DL"): ex.number(1)}
    return ex.substitute(derivation.gradient("G"), replaced)


G, H, C = symbol("G", "N", "K"), symbol("H", "N", "K"), symbol("clip_norm")


def test_norm_of_clipped_gradients_is_the_smaller_of_norm_and_limit() -> None:
    """Two parameters whose gradients have one norm."""
    squares = [elements_sum(square(each)) for each in (G, H)]
    before = squares[0] + squares[1]
    after = elements_sum(square(clipped(G, squares[1]))) + elements_sum(square(clipped(H, squares[0])))
    assert proved(after, apply(smaller_square, before, C))
    assert not proved(after, before)
    assert not proved(after, square(C))


def test_clipping_multiplies_every_gradient_by_the_same_number() -> None:
    squares = [elements_sum(square(each)) for each in (G, H)]
    assert proved(hadamard(clipped(G, squares[1]), H), hadamard(G, clipped(H, squares[0])))


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
