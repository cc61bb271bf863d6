"""Sparse networks at the edges: supports, initial values, memory, batches, threads, processes."""

from __future__ import annotations

import itertools
import os
import pickle
import signal
import subprocess
import sys
import threading
import tracemalloc
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.sparse import csr_array

from gradwright import MLP, load, sparse
from gradwright.backends.composed import Composed
from gradwright.backends.cpp import Engine
from gradwright.layer import initial_arrays
from gradwright.specification import specify

Array = np.ndarray[Any, np.dtype[Any]]
RNG = np.random.default_rng(0)
X, LABELS = RNG.normal(size=(150, 24)), RNG.integers(0, 3, 150)
BACKENDS = ("cpp", "numpy")


def support_of(net: MLP, number: int) -> sparse.Support:
    return net.backend.support(number)  # type: ignore[attr-defined,no-any-return]


# ---- Supports ------------------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_support_is_reachable(backend: str) -> None:
    given = sparse.largest(RNG.normal(size=(3, 12)), 0.25)
    net = MLP(
        [24, 16, 12, 3], ["relu", "relu", "softmax"], density=[0.5, 0.25, 1.0], backend=backend,
        support=[("n_of_m", {"n": 2, "m": 4}), ("blocks", {"height": 3, "width": 4}), given],
    )  # fmt: skip
    assert (support_of(net, 1).mask().reshape(16, 6, 4).sum(axis=2) == 2).all()
    inside = support_of(net, 2).mask().reshape(4, 3, 4, 4).sum(axis=(1, 3))
    assert sorted(np.unique(inside)) == [0, 12]
    np.testing.assert_array_equal(support_of(net, 3).mask(), given.mask())
    net.fit(X, LABELS, epochs=2, verbose=False)
    np.testing.assert_array_equal(support_of(net, 3).mask(), given.mask())


def test_erdos_renyi_spreads_the_density_over_the_layers() -> None:
    net = MLP([24, 16, 12, 3], density=0.3, support="erdos_renyi")
    found = [layer.density for layer in net.specification.layers]
    assert found == sparse.erdos_renyi([24, 16, 12, 3], 0.3)
    kernels = [(2, 3), None, None]
    net = MLP([24, 16, 12, 3], density=0.3, support=("erdos_renyi_kernel", {"kernels": kernels}))
    found = [layer.density for layer in net.specification.layers]
    assert found == sparse.erdos_renyi([24, 16, 12, 3], 0.3, kernels)
    assert found[0] < sparse.erdos_renyi([24, 16, 12, 3], 0.3)[0]  # fewer channels than inputs


def test_a_given_support_is_not_written_into() -> None:
    given = sparse.uniform((3, 24), 0.5, np.random.default_rng(1))
    before = given.copy()
    net = MLP([24, 3], ["softmax"], support=[given])
    net.fit(X, LABELS, epochs=2, verbose=False, callbacks=[sparse.Rewiring(0.5)])
    np.testing.assert_array_equal(given.indices, before.indices)
    assert (support_of(net, 1).indices != before.indices).any()


def by_hand(indptr: list[int], indices: list[int]) -> sparse.Support:
    return sparse.Support((16, 24), np.array(indptr, np.int32), np.array(indices, np.int32))


WRONG: dict[str, tuple[dict[str, Any], type[Exception], str]] = {
    "unknown": ({"support": "unifrom"}, ValueError, "did you mean 'uniform'"),
    "type": ({"support": 3}, TypeError, "support is int"),
    "parameters": ({"support": ("n_of_m", {"n": 2})}, ValueError, "parameters n, m"),
    "too many parameters": ({"support": ("uniform", {"n": 2})}, ValueError, "no parameters"),
    "groups": ({"support": ("n_of_m", {"n": 1, "m": 5})}, ValueError, "multiple of 5"),
    "blocks": ({"support": ("blocks", {"height": 2, "width": 5})}, ValueError, "whole 2 x 5"),
    "two densities": ({"support": ("n_of_m", {"n": 1, "m": 2}), "density": 0.2}, ValueError, "0.5"),
    "shape": ({"support": [sparse.uniform((2, 2), 1, RNG)] * 2}, ValueError, "of shape"),
    "count": ({"support": ["uniform"]}, ValueError, "expected 2 supports"),
    "erdos renyi": ({"support": "erdos_renyi", "density": [0.1, 0.2]}, ValueError, "alone"),
    "erdos renyi of a layer": ({"support": ["erdos_renyi", None]}, ValueError, "not in a list"),
    "no kernels": ({"support": "erdos_renyi_kernel"}, ValueError, "the parameter kernels"),
    "kernels": ({"support": ("erdos_renyi", {"kernels": []})}, ValueError, "no parameters"),
    "given": ({"support": "given"}, ValueError, "layer 1: give the support itself"),
    "layer": ({"support": [None, ("n_of_m", {"n": 1, "m": 3})]}, ValueError, "layer 2: .* of 3"),
    "text": ({"support": ("n_of_m", {"n": "1", "m": 2})}, TypeError, "layer 1: n and m: expected"),
    "one parameter": ({"support": ("n_of_m", 2)}, TypeError, "layer 1: n_of_m: parameters are int"),
    "by hand": ({"support": [by_hand([0] * 16 + [2], [0, 24]), None]}, ValueError, "row 15: a column"),
    "no end": ({"support": [by_hand([0] * 17, [0, 1]), None]}, ValueError, "row 15: indptr ends"),
    "twice": ({"support": [by_hand([0, *[2] * 16], [3, 3]), None]}, ValueError, "row 0: .* twice"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_support_that_does_not_fit_is_refused(name: str) -> None:
    options, error, message = WRONG[name]
    with pytest.raises(error, match=message):
        MLP([24, 16, 3], **options)


def test_a_support_made_by_hand_may_have_any_integers_in_any_order() -> None:
    given = sparse.Support((1, 3), np.array([0, 2]), np.array([2, 0]))
    net = MLP([3, 1], support=[given])
    np.testing.assert_array_equal(support_of(net, 1).indices, [0, 2])


def test_places_of_weights_cannot_be_written_into() -> None:
    """The engine has its own: what is written would be saved, but never used."""
    arrays = MLP([24, 3], density=0.5).parameters()
    for part in ("indptr", "indices"):
        with pytest.raises(ValueError, match="read-only"):
            arrays[f"layer1.W.{part}"][0] = 1


def test_a_network_of_given_supports_needs_its_parameters() -> None:
    net = MLP([24, 3], support=[sparse.uniform((3, 24), 0.5, RNG)])
    with pytest.raises(ValueError, match="support of a layer was given"):
        MLP.from_specification(net.specification)
    other = MLP.from_specification(net.specification, parameters=net.parameters())
    np.testing.assert_array_equal(net.outputs(X), other.outputs(X))


def test_columns_out_of_order_are_refused() -> None:
    net = MLP([24, 3], density=0.5)
    given = {name: array.copy() for name, array in net.parameters().items()}
    row = given["layer1.W.indices"][:2]
    row[:] = row[::-1].copy()
    with pytest.raises(ValueError, match="columns that rise"):
        MLP.from_specification(net.specification, parameters=given)


# ---- Initial values and memory -------------------------------------------------------------------


def test_no_dense_matrix_is_made_for_a_sparse_layer() -> None:
    spec = specify([30_000, 30_000], density=0.001)
    tracemalloc.start()
    arrays = initial_arrays(spec)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    count = len(arrays["layer1.W.values"])
    assert count == 900_000
    assert peak < 40 * count  # a dense matrix is 4000 bytes for each of them


@pytest.mark.parametrize("init", ["he", "he_uniform", "xavier", "orthogonal", "normal"])
def test_values_have_the_variance_of_their_initialiser(init: str) -> None:
    dense = initial_arrays(specify([400, 300], init=init, dtype="float64"))["layer1.W"]
    values = initial_arrays(specify([400, 300], init=init, dtype="float64", density=0.2))
    scaled = dense.var() if init == "normal" else dense.var() / 0.2
    assert values["layer1.W.values"].var() == pytest.approx(scaled, rel=0.05)


def test_values_do_not_depend_on_their_places() -> None:
    """The mean over places is that of the distribution: no row or column is preferred."""
    spec = specify([50, 40], density=0.5, init=("uniform", {"a": 1.0, "b": 2.0}), dtype="float64")
    arrays = initial_arrays(spec)
    values, indptr = arrays["layer1.W.values"], arrays["layer1.W.indptr"]
    means = [values[a:b].mean() for a, b in itertools.pairwise(indptr)]
    assert np.abs(np.array(means) - 1.5).max() < 0.3
    assert values.min() >= 1
    assert values.max() < 2


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_checkpoint_stays_sparse(backend: str, tmp_path: Path) -> None:
    net = MLP([500, 400, 3], ["relu", "softmax"], density=0.01, optimizer="adam", backend=backend)
    net.save(tmp_path / "net.gw")
    count = sum(layer.count for layer in net.specification.layers)
    assert (tmp_path / "net.gw").stat().st_size < 16 * count + 30_000
    with zipfile.ZipFile(tmp_path / "net.gw") as archive:
        assert max(item.file_size for item in archive.infolist()) < 500 * 400
    other = load(tmp_path / "net.gw", backend)
    data = RNG.normal(size=(7, 500))
    np.testing.assert_array_equal(net.outputs(data), other.outputs(data))
    copied = pickle.loads(pickle.dumps(net))  # noqa: S301
    np.testing.assert_array_equal(net.outputs(data), copied.outputs(data))


# ---- Edges ---------------------------------------------------------------------------------------


def trained(spec: Any, backend: Any, batches: list[int], steps: int = 1) -> Array:
    """Losses of steps with batches of these sizes, one after the other."""
    rng, found = np.random.default_rng(4), []
    for size in batches:
        data = rng.normal(size=(size, spec.sizes[0])).astype(spec.dtype)
        labels = rng.integers(0, spec.sizes[-1], size)
        found.append(backend.epoch(data, labels, np.tile(np.arange(size), steps), size,
                                   np.full(steps, 0.01)))  # fmt: skip
    return np.concatenate(found)


def agree(spec: Any, batches: list[int], patterns: Any = None, threads: int = 1) -> None:
    arrays = initial_arrays(spec, patterns)
    ours, theirs = Engine(spec, arrays, threads), Composed("numpy", spec, arrays)
    np.testing.assert_allclose(trained(spec, ours, batches), trained(spec, theirs, batches), rtol=1e-9)
    for name, array in theirs.parameters().items():
        np.testing.assert_allclose(ours.parameters()[name], array, rtol=1e-8, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("batch", [1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 33, 64, 65, 127, 130, 257])
@pytest.mark.parametrize("threads", [1, 2])
def test_a_batch_may_have_any_size(batch: int, threads: int) -> None:
    agree(specify([40, 300, 5], ["tanh", "softmax"], density=[0.02, 0.1], dtype="float64"),
          [batch], threads=threads)  # fmt: skip


@pytest.mark.parametrize("density", [0.02, 0.2, 0.6])
def test_the_batch_may_change_from_step_to_step(density: float) -> None:
    spec = specify([40, 300, 5], ["tanh", "softmax"], density=density, dtype="float64",
                   optimizer="adam")  # fmt: skip
    agree(spec, [100, 3, 100, 1, 17, 257, 16, 8], threads=2)


@pytest.mark.parametrize("density", [0.0, 0.15, 1.0])
@pytest.mark.parametrize("sizes", [[1, 1], [1, 6, 2], [6, 1, 2], [7, 5, 3]])
def test_one_feature_one_unit_no_weight_all_weights(sizes: list[int], density: float) -> None:
    if 0 < density < 1:
        density = 1 / min(a * b for a, b in itertools.pairwise(sizes))
    spec = specify(sizes, ["tanh"] * (len(sizes) - 2) + ["softmax"], density=density,
                   support="uniform", dtype="float64", optimizer="momentum")  # fmt: skip
    assert all(layer.sparse for layer in spec.layers)
    agree(spec, [1, 5])


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_weights_the_bias_is_learned(backend: str) -> None:
    net = MLP([24, 8, 3], ["tanh", "softmax"], density=0.0, backend=backend, dtype="float64")
    net.fit(X, LABELS, epochs=200, learning_rate=0.5, batch_size=None, verbose=False)
    shares = np.bincount(LABELS) / len(LABELS)
    np.testing.assert_allclose(net.predict_proba(X[:2]), [shares] * 2, atol=1e-3)
    net.fit(X, LABELS, epochs=2, verbose=False, callbacks=[sparse.Rewiring()])


@pytest.mark.parametrize("threads", [1, 2])
def test_rows_and_columns_may_be_empty(threads: int) -> None:
    mask = RNG.random((30, 24)) < 0.15
    mask[[0, 7, 8, 29]] = False
    mask[:, [0, 5, 6, 23]] = False
    given = sparse.from_mask(mask)
    spec = specify([24, 30, 3], ["tanh", "softmax"], support=[given, "uniform"], density=[1, 0.5],
                   dtype="float64")  # fmt: skip
    agree(spec, [10, 33], {1: given}, threads)


def test_all_weights_sparse_are_a_dense_network() -> None:
    dense = MLP([24, 9, 3], ["relu", "softmax"], dtype="float64", optimizer="adam")
    full = MLP([24, 9, 3], ["relu", "softmax"], dtype="float64", optimizer="adam", support="uniform")
    for number in (1, 2):
        W = dense.parameters()[f"layer{number}.W"]
        full.parameters()[f"layer{number}.W.values"][:] = W.reshape(-1)
    for net in (dense, full):
        net.fit(X, LABELS, epochs=3, batch_size=20, verbose=False)
    np.testing.assert_allclose(full.outputs(X), dense.outputs(X), rtol=1e-9, atol=1e-12)


def test_more_threads_than_cores_change_nothing_but_rounding() -> None:
    spec = specify([40, 300, 5], ["tanh", "softmax"], density=[0.02, 0.3], dtype="float64")
    many = 3 * (os.cpu_count() or 1) + 1
    for batches in ([100, 100], [3]):
        one, other = (Engine(spec, initial_arrays(spec), threads) for threads in (1, many))
        np.testing.assert_allclose(trained(spec, one, batches), trained(spec, other, batches), rtol=1e-9)
    again = Engine(spec, initial_arrays(spec), many)
    trained(spec, again, [3])
    for name, array in again.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name])


# memory for threads' stacks runs out after some of 32
FEW_THREADS = """
import os, resource
import numpy as np
from gradwright import MLP

net = MLP([500, 800, 400, 4], ["relu", "relu", "softmax"], density=[1, 0.2, 1])
X = np.random.default_rng(0).normal(size=(200, 500))
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (100 << 20),) * 2)
for _ in range(3):
    net.fit(X, np.arange(200) % 4, epochs=1, verbose=False)
assert net.backend.threads == 32 > len(os.listdir("/proc/self/task")) > 2
assert net.loss_history[2] < net.loss_history[0]
"""


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
def test_training_goes_on_where_the_system_gives_fewer_threads() -> None:
    environment = {**os.environ, "OMP_NUM_THREADS": "32", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-c", FEW_THREADS]
    subprocess.run(command, env=environment, check=True, timeout=120)


def test_two_sparse_networks_train_at_once_as_one_after_the_other() -> None:
    spec = specify([40, 600, 5], ["relu", "softmax"], density=[0.02, 0.1], optimizer="adam")
    rewiring = sparse.Rewiring(0.3, grow="gradient")

    def work(engine: Engine) -> None:
        for _ in range(3):
            trained(spec, engine, [100, 60], steps=3)
            rewiring.apply(engine)

    together, alone = ([Engine(spec, initial_arrays(spec), 2) for _ in range(2)] for _ in range(2))
    at_once = [threading.Thread(target=work, args=(engine,)) for engine in together]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    for engine in alone:
        work(engine)
    for one, other in zip(together, alone, strict=True):
        for name, array in one.parameters().items():
            np.testing.assert_array_equal(array, other.parameters()[name])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains_and_rewires_a_sparse_network() -> None:
    spec = specify([40, 600, 5], ["relu", "softmax"], density=[0.02, 0.1], optimizer="adam")
    engine = Engine(spec, initial_arrays(spec), 2)
    trained(spec, engine, [100], steps=3)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        sparse.Rewiring(0.3, grow="gradient").apply(engine)
        losses = trained(spec, engine, [100, 7], steps=3)
        os._exit(0 if np.isfinite(losses).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


def test_scipy_takes_a_network_s_weights() -> None:
    net = MLP([24, 3], ["softmax"], density=0.5, dtype="float64")
    own = net.parameters()
    values = own["layer1.W.values"]
    matrix = csr_array((values, own["layer1.W.indices"], own["layer1.W.indptr"]), (3, 24))
    assert np.shares_memory(matrix.data, values)
    logits = (matrix @ X.T).T + own["layer1.b"]
    np.testing.assert_array_equal(net.predict(X), logits.argmax(axis=1))
