"""Dynamic sparse training in the C++ engine."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from gradwright.backends.cpp import Engine
from gradwright.layer import initial_arrays
from gradwright.sparse import Rewiring, uniform
from gradwright.sparse.dynamic import absent_at_random, absent_by_gradient, least
from gradwright.specification import specify

SPEC = specify([20, 30, 3], ["relu", "softmax"], density=[0.1, 0.5], optimizer="adam", seed=5)
X = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 64)


def trained(steps: int = 3) -> Engine:
    engine = Engine(SPEC, initial_arrays(SPEC))
    train(engine, steps)
    return engine


def train(engine: Engine, steps: int) -> None:
    engine.epoch(X, LABELS, np.tile(np.arange(64), steps), 64, np.full(steps, 0.01))


@pytest.mark.parametrize("prune", ["magnitude", "set"])
@pytest.mark.parametrize("grow", ["random", "gradient"])
def test_weights_that_stay_keep_value_and_state(prune: Any, grow: Any) -> None:
    engine = trained()
    before = engine.support(1)
    old = {n: a.copy() for n, a in (engine.parameters() | engine.state()).items()}
    old_places = before.places.copy()
    Rewiring(0.3, prune, grow).apply(engine)
    places = engine.support(1).places
    assert len(np.unique(places)) == len(old_places) == len(places)
    stay, at, was = np.intersect1d(places, old_places, return_indices=True)
    assert len(stay) == len(places) - round(0.3 * len(places))
    new = np.setdiff1d(np.arange(len(places)), at)
    for name in ("layer1.W.values", "layer1.W.values.m", "layer1.W.values.v"):
        now = (engine.parameters() | engine.state())[name]
        np.testing.assert_array_equal(now[at], old[name][was])
        assert (now[new] == 0).all()
    train(engine, 2)
    assert np.isfinite(engine.parameters()["layer1.W.values"]).all()


def test_growth_by_gradient_takes_the_largest_absent_gradients() -> None:
    engine = trained()
    support = engine.support(1)
    dense = np.abs(engine.weight_gradient(1, 0, 30))
    dense[support.mask()] = -1
    chosen = absent_by_gradient(engine, 1, support, 7)
    np.testing.assert_array_equal(
        np.sort(dense.reshape(-1)[chosen]), np.sort(dense.reshape(-1))[-7:]
    )


def test_the_dense_gradient_is_that_of_the_weights_where_they_are() -> None:
    engine = trained()
    engine.forward(X, training=True)
    engine.backward(LABELS)
    dense = engine.weight_gradient(1, 0, 30)
    values = engine.gradients()["layer1.W.values"]
    np.testing.assert_allclose(dense[engine.support(1).mask()], values, rtol=1e-4, atol=1e-7)


def test_random_growth_finds_places_without_a_weight() -> None:
    support = uniform((9, 11), 0.4, np.random.default_rng(2))
    free = 99 - support.count
    found = absent_at_random(support, free, np.random.default_rng(3))
    assert set(found) == set(range(99)) - set(support.places.tolist())


def test_pruning_by_sign_takes_from_both_sides() -> None:
    values = np.array([-3.0, -0.1, 0.2, 4.0, 0.5, -0.3])
    np.testing.assert_array_equal(least(values, 2, "set"), [1, 2])
    np.testing.assert_array_equal(least(values, 3, "magnitude"), [1, 2, 5])


@pytest.mark.parametrize("grow", ["random", "gradient"])
def test_rewiring_continues_bit_for_bit(grow: Any) -> None:
    rewiring = Rewiring(0.2, "set", grow, steps=20)
    whole = trained()
    saved = {n: a.copy() for n, a in (whole.parameters() | whole.state()).items()}
    resumed = Engine(SPEC, {n: saved[n] for n in whole.parameters()})
    for name, array in resumed.state().items():
        array[:] = saved[name]
    for engine in (whole, resumed):
        for _ in range(3):
            train(engine, 2)
            rewiring.apply(engine)
    for name, array in (whole.parameters() | whole.state()).items():
        np.testing.assert_array_equal(array, (resumed.parameters() | resumed.state())[name])


def test_the_share_falls_as_a_cosine() -> None:
    rewiring = Rewiring(0.4, steps=100)
    assert [rewiring.share_at(s) for s in (0, 50, 100, 200)] == pytest.approx([0.4, 0.2, 0, 0])


def test_a_share_outside_0_and_1_is_refused() -> None:
    with pytest.raises(ValueError, match="share"):
        Rewiring(1.5)
