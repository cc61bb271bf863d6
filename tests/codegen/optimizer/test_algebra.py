"""The algebra of theorems proves identities for every t, and nothing that is false."""

import pytest
import sympy as sp

from gradwright.codegen.optimizer.algebra import is_zero

t = sp.Symbol("t", integer=True, nonnegative=True)
i, j = sp.symbols("i j", integer=True, positive=True)
mu = sp.Symbol("mu", nonnegative=True)
x, y = sp.symbols("x y", real=True)
g = sp.IndexedBase("g", real=True)

TRUE = {
    "powers of the step": mu ** (t + 1) - mu * mu**t,
    "powers of sums": (1 - mu) ** (t + 2) - (1 - 2 * mu + mu**2) * (1 - mu) ** t,
    "last term of a sum": sp.Sum(g[i], (i, 1, t + 1)) - sp.Sum(g[i], (i, 1, t)) - g[t + 1],
    "missing last term": sp.Sum(g[i], (i, 1, t)) - sp.Sum(g[i], (i, 1, t - 1)) - g[t],
    "recurrence of a weighted sum": sp.Sum(mu ** (t + 1 - i) * g[i], (i, 1, t + 1))
    - mu * sp.Sum(mu ** (t - i) * g[i], (i, 1, t)) - g[t + 1],
    "name of the index": sp.Sum(g[i], (i, 1, t)) - sp.Sum(g[j], (j, 1, t)),
    "constant factors": sp.Sum(x * g[i] / (1 - mu), (i, 1, t))
    - x / (1 - mu) * sp.Sum(g[i], (i, 1, t)),
    "root of a square": sp.sqrt(x**2 * (1 - mu) / (1 - mu)) - sp.Abs(x),
    "roots of equal arguments": sp.sqrt((x + y) ** 2 + 1) - sp.sqrt(x**2 + 2 * x * y + y**2 + 1),
    "square of a root": sp.sqrt(x**2 + 1) ** 2 - x**2 - 1,
    "absolute value and sign": sp.Abs(x) * sp.sign(x) - x,
    "sums inside roots": sp.sqrt(sp.Sum(g[i] ** 2, (i, 1, t + 1)))
    - sp.sqrt(sp.Sum(g[j] ** 2, (j, 1, t)) + g[t + 1] ** 2),
}  # fmt: skip

FALSE = {
    "another exponent": mu ** (t + 1) - mu**t,
    "a term too few": sp.Sum(g[i], (i, 1, t + 1)) - sp.Sum(g[i], (i, 1, t)),
    "the index as a factor": sp.Sum(i * g[i], (i, 1, t)) - t * sp.Sum(g[i], (i, 1, t)),
    "outer index in an inner sum": sp.Sum(sp.Sum(mu ** (i - j) * g[j], (j, 1, i)), (i, 1, t))
    - sp.Sum(sp.Sum(g[j], (j, 1, i)), (i, 1, t)),
    "root of a square without bars": sp.sqrt(x**2) - x,
    "a sign squared, where x is 0": sp.sign(x) ** 2 - 1,
    "a sign of a sum squared": sp.sign(x + y) ** 2 - 1,
    "sum of roots": sp.sqrt(x**2 + y**2) - sp.Abs(x) - sp.Abs(y),
    "another sequence": sp.Sum(g[i], (i, 1, t)) - sp.Sum(sp.IndexedBase("h")[i], (i, 1, t)),
}


@pytest.mark.parametrize("name", TRUE)
def test_identity_is_proved(name: str) -> None:
    assert is_zero(TRUE[name])


@pytest.mark.parametrize("name", FALSE)
def test_falsehood_is_not_proved(name: str) -> None:
    assert not is_zero(FALSE[name])
