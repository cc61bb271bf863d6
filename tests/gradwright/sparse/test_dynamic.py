"""Dynamic sparse training in the C++ engine."""

from __future__ import annotations

import copy
import gc
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwright import MLP, load
from gradwright.backends.composed import Composed
from gradwright.backends.cpp import Engine
from gradwright.layer import initial_arrays
from gradwright.sparse import GradualPruning, Rewiring, from_mask, uniform
from gradwright.sparse.moves import (
    Move,
    absent_at_random,
    absent_spread,
    carry,
    changes,
    drawn,
    least,
    moved,
    shares,
    spread,
)  # fmt: skip
from gradwright.sparse.supports import Support
from gradwright.specification import specify
from gradwright.training.divergence import DivergenceError

Array = np.ndarray[Any, np.dtype[Any]]
SPEC = specify([20, 30, 3], ["relu", "softmax"], density=[0.1, 0.5], optimizer="adam", seed=5)
X = np.random.default_rng(0).normal(size=(64, 20)).astype(np.float32)
LABELS = np.random.default_rng(1).integers(0, 3, 64)


def trained(steps: int = 3, threads: int = 1) -> Engine:
    engine = Engine(SPEC, initial_arrays(SPEC), threads)
    train(engine, steps)
    return engine


def train(engine: Engine, steps: int) -> None:
    engine.epoch(X, LABELS, np.tile(np.arange(64), steps), 64, np.full(steps, 0.01))


def arrays_of(backend: Any) -> dict[str, Array]:
    return {n: a.copy() for n, a in (backend.parameters() | backend.state()).items()}


def same(one: Any, other: Any) -> None:
    mine, theirs = arrays_of(one), arrays_of(other)
    assert mine.keys() == theirs.keys()
    for name, array in mine.items():
        np.testing.assert_array_equal(array, theirs[name], err_msg=name)


@pytest.mark.parametrize("prune", ["magnitude", "set", "threshold"])
@pytest.mark.parametrize("grow", ["random", "gradient", "momentum"])
def test_weights_that_stay_keep_value_and_state(prune: Any, grow: Any) -> None:
    engine = trained()
    rewiring = Rewiring(0.3, prune, grow, threshold=0.2)
    if grow == "momentum":
        engine.watch(1, 60, 0.9), engine.watch(2, 45, 0.9)
        train(engine, 2)
    old, before = arrays_of(engine), engine.support(1).copy()
    gone = least(old["layer1.W.values"], round(0.3 * before.count), prune, 0.2)
    assert 0 < len(gone) < before.count
    rewiring.apply(engine)
    places = engine.support(1).places
    assert len(np.unique(places)) == before.count == len(places)
    stay, at, was = np.intersect1d(places, before.places, return_indices=True)
    np.testing.assert_array_equal(stay, np.delete(before.places, gone))
    new = np.setdiff1d(np.arange(len(places)), at)
    for name in ("layer1.W.values", "layer1.W.values.m", "layer1.W.values.v"):
        now = arrays_of(engine)[name]
        np.testing.assert_array_equal(now[at], old[name][was])
        assert (now[new] == 0).all()
    train(engine, 2)
    assert np.isfinite(engine.parameters()["layer1.W.values"]).all()


MOVES = {
    "by magnitude": Move((1,), 20),
    "by sign": Move((2,), 11, "set"),
    "below a threshold": Move((1,), prune="threshold", threshold=0.25),
    "of both layers": Move((1, 2), 30, "set"),
    "by gradient": Move((1,), 17, grow="gradient"),
    "by gradient, both": Move((1, 2), 25, grow="gradient"),
    "by momentum, both": Move((1, 2), 25, grow="momentum"),
    "without growth": Move((1,), 12, grown=0),
    "all of it": Move((2,), 45),
    "more than all of it": Move((2,), 1000),
    "more growth than there is room": Move((2,), 3, grown=200),
}


@pytest.mark.parametrize("name", MOVES)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_the_engine_moves_what_numpy_moves(name: str, dtype: str) -> None:
    spec = specify(list(SPEC.sizes), ["relu", "softmax"], density=[0.1, 0.5], optimizer="adam",
                   seed=5, dtype=dtype)  # fmt: skip
    engine = Engine(spec, initial_arrays(spec), 1)
    engine.watch(1, 60, 0.9), engine.watch(2, 30, 0.9)
    engine.epoch(X.astype(dtype), LABELS, np.tile(np.arange(64), 3), 64, np.full(3, 0.01))
    move, old = MOVES[name], arrays_of(engine)
    wanted = {}
    for number, (lost, places) in zip(move.layers, changes(engine, move), strict=True):
        wanted[number] = moved(engine.support(number).copy(), lost, places)
    engine.rewire(move)
    for number, (support, source) in wanted.items():
        np.testing.assert_array_equal(engine.support(number).indptr, support.indptr)
        np.testing.assert_array_equal(engine.support(number).indices, support.indices)
        for array in ("values", "values.m", "values.v"):
            full = f"layer{number}.W.{array}"
            np.testing.assert_array_equal(arrays_of(engine)[full], carry(old[full], source))
        assert engine.specification.layers[number - 1].count == support.count
    train_on = Engine(engine.specification, engine.parameters(), 1)
    for key, array in train_on.state().items():
        array[:] = engine.state()[key]
    for backend in (engine, train_on):
        backend.epoch(X.astype(dtype), LABELS, np.arange(64), 20, np.full(4, 0.01))
    for key, array in train_on.parameters().items():
        np.testing.assert_array_equal(array, engine.parameters()[key])


@pytest.mark.parametrize("threads", [1, 2])
def test_the_momentum_of_watched_places_is_that_of_their_gradients(threads: int) -> None:
    engine = trained(threads=threads)
    engine.watch(1, 80, 0.75)
    own = "layer1.W.watched."
    places = np.repeat(np.arange(30), np.diff(engine.state()[f"{own}indptr"])) * 20
    places = places + engine.state()[f"{own}indices"]
    assert len(np.unique(places)) == 80
    assert not np.isin(places, engine.support(1).places).any()
    momentum = np.zeros(80)
    for _ in range(4):
        train(engine, 1)
        momentum = 0.75 * momentum + 0.25 * engine.weight_gradient(1, 0, 30).reshape(-1)[places]
    np.testing.assert_allclose(engine.state()[f"{own}momentum"], momentum, rtol=1e-4, atol=1e-8)


def test_the_dense_gradient_is_that_of_the_weights_where_they_are() -> None:
    engine = trained()
    engine.forward(X, training=True)
    engine.backward(LABELS)
    dense = engine.weight_gradient(1, 0, 30)
    values = engine.gradients()["layer1.W.values"]
    np.testing.assert_allclose(dense[engine.support(1).mask()], values, rtol=1e-4, atol=1e-7)


def test_gradients_of_absent_weights_need_a_step() -> None:
    engine = trained()
    engine.forward(X)
    with pytest.raises(RuntimeError, match="need a step of training"):
        engine.weight_gradient(1, 0, 30)
    with pytest.raises(RuntimeError, match="need a step of training"):
        engine.rewire(Move((1,), 5, grow="gradient"))


def test_a_refused_step_has_no_gradients_of_absent_weights() -> None:
    engine = trained()
    with pytest.raises(FloatingPointError):
        engine.epoch(np.full_like(X, np.nan), LABELS, np.arange(64), 64, np.ones(1))
    with pytest.raises(RuntimeError, match="need a step of training"):
        engine.weight_gradient(1, 0, 30)


def test_gradients_of_absent_weights_of_a_large_batch_need_tracing() -> None:
    engine, order = trained(), np.tile(np.arange(64), 5)
    engine.epoch(X, LABELS, order, len(order), np.ones(1))
    with pytest.raises(RuntimeError, match="and trace"):
        engine.weight_gradient(1, 0, 30)
    engine.trace(True)
    engine.epoch(X, LABELS, order, len(order), np.ones(1))
    found = engine.weight_gradient(1, 0, 30)[engine.support(1).mask()]
    values = engine.gradients()["layer1.W.values"]
    np.testing.assert_allclose(found, values, rtol=1e-4, atol=1e-7)


def test_growth_by_gradient_leaves_no_trace_in_later_trainings() -> None:
    net = net_of("cpp")
    net.fit(X, LABELS, epochs=1, callbacks=[Rewiring(grow="gradient", share=0.1)], verbose=False)
    twin = copy.deepcopy(net)
    many, labels = np.tile(X, (5, 1)), np.tile(LABELS, 5)
    for one in (net, twin):
        one.fit(many, labels, epochs=2, batch_size=None, verbose=False)
    same(net.backend, twin.backend)


def test_gradients_handed_out_stay_when_weights_move() -> None:
    engine = trained()
    found = engine.gradients()["layer1.W.values"]
    before = found.copy()
    for _ in range(3):
        engine.rewire(Move((1,), 0, grown=100, grow="random"))
        train(engine, 1)
    np.testing.assert_array_equal(found, before)


def test_arrays_before_a_move_are_let_go() -> None:
    engine = trained()
    old = engine.parameters()["layer1.W.values"]
    held = weakref.ref(old)
    engine.rewire(Move((1,), 10, grown=0))
    del old
    gc.collect()
    assert held() is None


@pytest.mark.parametrize("grown", [5, 10**6])
@pytest.mark.parametrize("backend", [Engine, lambda *given: Composed("numpy", *given)])
def test_no_weight_begins_where_the_gradient_is_not_a_number(backend: Any, grown: int) -> None:
    net, bad = backend(SPEC, initial_arrays(SPEC)), X.copy()
    bad[:, 7] = np.nan
    mask = uniform((30, 20), 0.1, 0).mask()
    mask[:, 7] = False
    support = from_mask(mask)
    net.replace(1, support, np.full(support.count, 0.1, np.float32))
    net.trace(True)
    net.epoch(bad, LABELS, np.arange(64), 64, np.full(1, 0.01))
    net.rewire(Move((1,), 0, grown=grown, grow="gradient"))
    found = net.support(1).mask()
    assert not found[:, 7].any()
    assert found.sum() == min(support.count + grown, 30 * 19)


@pytest.mark.parametrize("backend", ["cpp", "numpy"])
def test_growth_by_momentum_needs_watched_places(backend: str) -> None:
    net: Any = net_of(backend)
    before = arrays_of(net.backend)
    with pytest.raises(RuntimeError, match="growth by momentum needs watched places"):
        net.backend.rewire(Move((1,), 5, grow="momentum"))
    for name, array in arrays_of(net.backend).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("backend", ["cpp", "numpy"])
@pytest.mark.parametrize("replaces", [False, True])
def test_a_support_handed_out_stays_when_weights_move(backend: str, replaces: bool) -> None:
    net: Any = net_of(backend)
    old = net.backend.support(1)
    mask = old.mask()
    if replaces:
        other = uniform(old.shape, 0.3, np.random.default_rng(4))
        net.backend.replace(1, other, np.ones(other.count, np.float32))
    else:
        net.backend.rewire(Move((1,), 20))
    assert (old.mask() == mask).all()
    assert (net.backend.support(1).mask() != mask).any()


@pytest.mark.parametrize("backend", ["cpp", "numpy"])
@pytest.mark.parametrize("grown", [None, 0, 100])
def test_weights_that_moved_have_no_gradient_until_the_next_step(backend: str, grown: Any) -> None:
    net = net_of(backend)
    net.forward(X)
    net.backward(LABELS)
    net.backend.rewire(Move((1,), 20, grown=grown))  # type: ignore[attr-defined]
    before = arrays_of(net.backend)
    assert set(net.gradients()) == {"layer1.b", "layer2.W.values", "layer2.b"}
    with pytest.raises(RuntimeError, match="update needs the gradients"):
        net.update(0.1)
    net.forward(X)
    net.backend.rewire(Move((2,), 5))  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="backward needs a forward pass"):
        net.backward(LABELS)
    np.testing.assert_array_equal(net.parameters()["layer1.W.values"], before["layer1.W.values"])
    net.forward(X)
    net.backward(LABELS)
    net.update(0.1)
    assert net.gradients().keys() == {"layer1.b", "layer1.W.values", "layer2.W.values", "layer2.b"}


NO_MOVES: dict[str, tuple[dict[str, Any], type[Exception]]] = {
    "at least one layer": ({"layers": ()}, ValueError),
    "each once": ({"layers": (1, 1)}, ValueError),
    "layer 3 is no sparse layer": ({"layers": (3,)}, ValueError),
    "layer 0 is no sparse layer": ({"layers": (0,)}, ValueError),
    "lost >= 0": ({"layers": (1,), "lost": -1}, ValueError),
    "grown is 1.5": ({"layers": (1,), "grown": 1.5}, TypeError),
    "prune is 'some'": ({"layers": (1,), "prune": "some"}, ValueError),
    "grow is 'some'": ({"layers": (1,), "grow": "some"}, ValueError),
    "threshold >= 0": ({"layers": (1,), "threshold": -1}, ValueError),
}


@pytest.mark.parametrize("message", NO_MOVES)
@pytest.mark.parametrize("backend", ["cpp", "numpy"])
def test_a_move_that_cannot_be_is_refused(backend: str, message: str) -> None:
    net: Any = net_of(backend)
    wrong, error = NO_MOVES[message]
    with pytest.raises(error, match=message):
        net.backend.rewire(Move(**wrong))


@pytest.mark.parametrize(("total", "count"), [(10, 0), (10, 10), (50, 30), (1000, 17), (1, 1)])
def test_draws_are_different_and_all_there(total: int, count: int) -> None:
    found = drawn(total, count, (3, 1), 7, 1)
    assert len(np.unique(found)) == len(found) == count
    assert ((found >= 0) & (found < total)).all()


def test_every_place_is_drawn_as_often() -> None:
    times = np.bincount(
        np.concatenate([drawn(12, 3, (5, 1), step, 1) for step in range(4000)]), minlength=12
    )
    assert abs(times - 1000).max() < 110  # four standard deviations


@pytest.mark.parametrize(("total", "count"), [(10, 0), (10, 10), (50, 30), (1000, 17), (1, 1)])
def test_one_number_is_drawn_in_every_stretch(total: int, count: int) -> None:
    found = spread(total, count, (3, 1), 7, 2)
    ends = np.arange(count + 1) * total // max(count, 1)
    assert ((found >= ends[:-1]) & (found < ends[1:])).all()


def test_every_place_of_a_stretch_is_drawn_as_often() -> None:
    times = np.bincount(
        np.concatenate([spread(12, 3, (5, 1), step, 2) for step in range(4000)]), minlength=12
    )
    assert abs(times - 1000).max() < 110  # four standard deviations


def test_the_engine_watches_what_numpy_draws() -> None:
    engine = trained()
    for number, count in ((1, 60), (2, 1), (1, 0), (2, 45)):
        engine.watch(number, count, 0.9)
        state, support = engine.state(), engine.support(number)
        watched = [state[f"layer{number}.W.watched.{part}"] for part in ("indptr", "indices")]
        places = Support(support.shape, *watched).places
        np.testing.assert_array_equal(places, absent_spread(support, count, (5, number), 3))


def test_a_weight_that_has_begun_at_a_watched_place_does_not_begin_again() -> None:
    engine = trained()
    engine.watch(1, 540, 0.9)
    train(engine, 2)
    engine.rewire(Move((1,), 10, grow="random"))
    move = Move((1,), 30, grow="momentum")
    (lost, places), = changes(engine, move)
    wanted, _ = moved(engine.support(1).copy(), lost, places)
    engine.rewire(move)
    np.testing.assert_array_equal(engine.support(1).indices, wanted.indices)


def test_random_growth_finds_places_without_a_weight() -> None:
    support = uniform((9, 11), 0.4, np.random.default_rng(2))
    free = 99 - support.count
    found = absent_at_random(support, free, (3, 1), 0)
    assert set(found) == set(range(99)) - set(support.places.tolist())


def test_values_are_carried_into_a_layer_that_had_lost_all_its_weights() -> None:
    found = carry(np.empty(0, np.float32), np.array([-1, -1]))
    np.testing.assert_array_equal(found, np.zeros(2, np.float32), strict=True)


@pytest.mark.parametrize("rule", ["magnitude", "set"])
def test_the_engine_gives_up_no_more_weights_than_there_are(rule: str) -> None:
    network = trained()._network
    assert network.prune([1], 10**6, rule, 0.0) == [60]
    assert network.prune([2, 1], 10**6, rule, 0.0) == [45, 60]
    assert network.prune([1], -1, rule, 0.0) == [0]
    assert network.prune([], 5, rule, 0.0) == []


def test_pruning_by_sign_takes_from_both_sides() -> None:
    values = np.array([-3.0, -0.1, 0.2, 4.0, 0.5, -0.3])
    np.testing.assert_array_equal(least(values, 2, "set"), [1, 2])
    np.testing.assert_array_equal(least(values, 3, "magnitude"), [1, 2, 5])
    np.testing.assert_array_equal(least(values, 0, "threshold", 0.3), [1, 2])


def test_shares_are_in_proportion_and_within_bounds() -> None:
    assert shares(10, [1, 3, 1], [100, 100, 100]) == [2, 6, 2]
    assert shares(10, [1, 3, 1], [100, 2, 100]) == [4, 2, 4]
    assert shares(10, [0, 0], [3, 4]) == [3, 4]
    assert shares(2, [1, 1, 1], [9, 9, 9]) == [1, 1, 0]


# ---- In a fit ------------------------------------------------------------------------------------


class Interrupt:
    """A callback that stops a training after a step, as Ctrl-C would."""

    def __init__(self, step: int) -> None:
        self.step = step

    def on_batch_end(self, net: MLP) -> None:
        if int(net.backend.state()["step"][0]) == self.step:
            raise KeyboardInterrupt


CALLBACKS: dict[str, Any] = {
    "random, by epoch": Rewiring(0.2, "set", "random", steps=20),
    "gradient, by epoch": Rewiring(0.2, "set", "gradient", steps=20),
    "gradient, every 3 steps": Rewiring(0.2, grow="gradient", interval=3),
    "momentum, every 3 steps": Rewiring(0.2, grow="momentum", interval=3),
    "global, every 4 steps": Rewiring(0.3, "set", "gradient", interval=4, scope="global"),
    "threshold": Rewiring(prune="threshold", threshold=0.05, interval=2),
    "gradual": GradualPruning(0.05, 12, initial=0.6, interval=2),
    "gradual, global": GradualPruning(0.05, 12, initial=0.6, interval=2, scope="global"),
}


def net_of(backend: str = "cpp", dtype: str = "float32") -> MLP:
    return MLP([20, 30, 3], ["relu", "softmax"], density=[0.3, 0.6], optimizer="adam", seed=5,
               backend=backend, dtype=dtype)  # fmt: skip


def fit(net: MLP, callback: Any, *others: Any) -> None:
    net.fit(
        X, LABELS, epochs=3, batch_size=13, learning_rate=0.01, verbose=False,
        callbacks=[callback, *others], validation_data=(X[:20], LABELS[:20]), patience=50,
    )  # fmt: skip


@pytest.mark.parametrize("name", CALLBACKS)
@pytest.mark.parametrize(
    ("backend", "step"), [*(("cpp", step) for step in (1, 4, 5, 6, 14, 15)), ("numpy", 5)]
)
def test_an_interrupted_training_moves_the_same_weights(
    name: str, backend: str, step: int, tmp_path: Path
) -> None:
    whole, stopped = net_of(backend), net_of(backend)
    fit(whole, CALLBACKS[name])
    with pytest.raises(KeyboardInterrupt):
        fit(stopped, CALLBACKS[name], Interrupt(step))
    stopped.save(tmp_path / "net.gw")
    resumed = load(tmp_path / "net.gw", backend)
    resumed.resume(X, LABELS, callbacks=[CALLBACKS[name]], verbose=False,
                   validation_data=(X[:20], LABELS[:20]))  # fmt: skip
    same(whole.backend, resumed.backend)
    assert whole.history.loss == resumed.history.loss
    assert whole.specification.layers == resumed.specification.layers


@pytest.mark.parametrize("name", CALLBACKS)
def test_both_backends_move_the_same_weights(name: str) -> None:
    nets = [net_of(backend, "float64") for backend in ("cpp", "numpy")]
    for net in nets:
        net.fit(X, LABELS, epochs=3, batch_size=13, learning_rate=0.01, verbose=False,
                callbacks=[CALLBACKS[name]])  # fmt: skip
    ours, theirs = (arrays_of(net.backend) for net in nets)
    assert ours.keys() == theirs.keys()
    for key, array in theirs.items():
        np.testing.assert_allclose(ours[key], array, rtol=1e-8, atol=1e-11, err_msg=key)


@pytest.mark.parametrize("grow", ["random", "gradient", "momentum"])
@pytest.mark.parametrize("backend", ["cpp", "numpy"])
def test_a_training_that_diverges_says_where(grow: Any, backend: str) -> None:
    net = net_of(backend)
    callback = Rewiring(0.2, grow=grow, interval=2)
    with pytest.raises(DivergenceError, match=r"in epoch 2, batch 4.* layer [12], pre-act"):
        net.fit(X, LABELS, epochs=3, batch_size=13, verbose=False, callbacks=[callback],
                learning_rate=lambda step: 1e38 if step == 7 else 0.01)  # fmt: skip


def test_how_a_fit_is_reported_moves_no_other_weights() -> None:
    quiet, told = net_of(), net_of()
    fit(quiet, Rewiring(0.2, grow="gradient", interval=3))
    steps = []
    fit(told, Rewiring(0.2, grow="gradient", interval=3), Interrupt(-1), lambda net: steps.append(net))
    same(quiet.backend, told.backend)


def test_the_last_batch_is_what_growth_after_an_epoch_sees() -> None:
    """Validation comes after it: its data must not be what the gradients are of."""
    one, other = net_of(), net_of()
    rewiring = Rewiring(0.3, grow="gradient")
    common: Any = {"epochs": 2, "batch_size": 16, "learning_rate": 0.01, "verbose": False}
    one.fit(X, LABELS, callbacks=[rewiring], **common)
    other.fit(X, LABELS, callbacks=[rewiring], validation_data=(X[:7], LABELS[:7]), **common)
    same(one.backend, other.backend)


def test_the_best_weights_come_back_to_their_own_places() -> None:
    net = net_of()
    seen: list[tuple[float, dict[str, Array]]] = []
    net.fit(X, LABELS, epochs=30, batch_size=16, learning_rate=0.5, verbose=False, patience=2,
            callbacks=[Rewiring(0.5), lambda n: seen.append((n.history.loss[-1],
            {k: a.copy() for k, a in n.parameters().items()}))])  # fmt: skip
    assert net.history.stopped
    _, best = min(seen, key=lambda item: item[0])
    for name, array in best.items():
        np.testing.assert_array_equal(net.parameters()[name], array)
    other = MLP.from_specification(net.specification, parameters=best)
    np.testing.assert_array_equal(net.outputs(X), other.outputs(X))


def test_global_moves_keep_the_network_s_number_of_weights_alone() -> None:
    net = net_of()
    before = [layer.count for layer in net.specification.layers]
    counts: list[list[int]] = []
    net.fit(X, LABELS, epochs=3, batch_size=13, learning_rate=0.01, verbose=False,
            callbacks=[Rewiring(0.3, grow="gradient", interval=2, scope="global"),
            lambda n: counts.append([layer.count for layer in n.specification.layers])])  # fmt: skip
    assert all(sum(found) == sum(before) for found in counts)
    assert any(found != before for found in counts)


@pytest.mark.parametrize("grow", ["random", "gradient"])
def test_both_backends_grow_in_layers_that_had_lost_all_their_weights(grow: Any) -> None:
    nets = [net_of(backend, "float64") for backend in ("cpp", "numpy")]
    for net in nets:
        backend: Any = net.backend
        backend.trace(True)
        for move in (Move((1, 2), 1000, grown=0), Move((1, 2), grown=20, grow=grow)):
            backend.epoch(X.astype(float), LABELS, np.arange(64), 16, np.full(4, 0.01))
            backend.rewire(move)
            assert sum(layer.count for layer in net.specification.layers) == move.grown
        backend.epoch(X.astype(float), LABELS, np.arange(64), 16, np.full(4, 0.01))
    for name, array in nets[0].parameters().items():
        np.testing.assert_allclose(nets[1].parameters()[name], array, rtol=1e-8, atol=1e-12)


def test_gradual_pruning_follows_its_schedule() -> None:
    net = MLP([20, 30, 3], ["relu", "softmax"], support="uniform", seed=5)
    schedule, found = GradualPruning(0.1, 10, begin=2, interval=2), []

    class Watch:
        interval = 2

        def on_batch_end(self, net: MLP) -> None:
            step = int(net.backend.state()["step"][0])
            found.append((step, [layer.count for layer in net.specification.layers]))

    net.fit(X, LABELS, epochs=3, batch_size=13, verbose=False, callbacks=[schedule, Watch()])
    for step, counts in found:
        density = schedule.density_at(step)
        assert counts == [round(density * 600), round(density * 90)]
    assert found[-1][1] == [60, 9]
    same_again = copy.deepcopy(net)
    np.testing.assert_array_equal(net.outputs(X), same_again.outputs(X))


def test_the_share_falls_as_a_cosine() -> None:
    rewiring = Rewiring(0.4, steps=100)
    assert [rewiring.share_at(s) for s in (0, 50, 100, 200)] == pytest.approx([0.4, 0.2, 0, 0])


@pytest.mark.parametrize(
    ("wrong", "message"),
    [({"share": 1.5}, "share"), ({"prune": "some"}, "prune"), ({"grow": "all"}, "grow"),
     ({"scope": "net"}, "scope"), ({"interval": 0}, "interval"), ({"steps": 1.5}, "steps"),
     ({"threshold": -1}, "threshold"), ({"momentum": 1}, "momentum"), ({"watched": 0}, "watched")],
)  # fmt: skip
def test_wrong_choices_are_refused(wrong: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rewiring(**wrong)


@pytest.mark.parametrize("name", ["share", "threshold", "momentum", "watched"])
@pytest.mark.parametrize("value", ["0.5", None, [0.5], True])
def test_what_is_no_number_is_refused(name: str, value: Any) -> None:
    with pytest.raises(TypeError, match=f"{name} is .*, expected a number"):
        Rewiring(**{name: value})


@pytest.mark.parametrize("callback", [Rewiring(), GradualPruning(0.1, 10)])
@pytest.mark.parametrize("backend", ["cpp", "numpy"])
def test_a_network_whose_weights_cannot_move_is_refused(callback: Any, backend: str) -> None:
    net = MLP([20, 30, 3], ["relu", "softmax"], backend=backend)
    before = arrays_of(net.backend)
    with pytest.raises(ValueError, match="no layer of this network is sparse"):
        fit(net, callback)
    for name, array in arrays_of(net.backend).items():
        np.testing.assert_array_equal(array, before[name])
    fit(net, repr)
    assert len(net.history) == 3


@pytest.mark.parametrize("wrong", [{"density": 2}, {"initial": 0.05}, {"steps": 0}, {"begin": -1},
                                   {"steps": None}, {"interval": None}])  # fmt: skip
def test_a_wrong_schedule_is_refused(wrong: Any) -> None:
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GradualPruning(**({"density": 0.1, "steps": 10} | wrong))
