"""The C++ engine against the composition of the generated NumPy modules."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import numpy as np
import pytest

from gradwright import kernels
from gradwright.backends import cpp
from gradwright.backends.composed import Composed
from gradwright.layer import initial_arrays
from gradwright.specification import specify

Array = np.ndarray[Any, np.dtype[Any]]

HIDDEN = sorted(set(kernels.known("activation")) & set(cpp._engine.names()))
OPTIMIZERS = sorted(set(kernels.known("optimizer")) & set(cpp._engine.names()))
SHAPES = {
    "one": ([1, 1, 1], 1),
    "small": ([3, 5, 2], 4),
    "odd": ([13, 37, 11, 3], 23),
    "wide": ([70, 130, 60, 10], 100),
    "large batch": ([9, 33, 4], 300),
}


def data(spec: Any, samples: int = 160) -> tuple[Array, Array]:
    rng = np.random.default_rng(1)
    X = rng.normal(size=(samples, spec.sizes[0])).astype(spec.dtype)
    if spec.task == "multiclass":
        return X, rng.integers(0, spec.sizes[-1], samples)
    T = rng.random((samples, spec.sizes[-1])).astype(spec.dtype)
    return X, T / T.sum(axis=1, keepdims=True)


def train(
    backend: Any, spec: Any, batch: int, *, samples: int = 160, weights: bool = False
) -> Array:
    X, targets = data(spec, samples)
    order = np.random.default_rng(2).permutation(samples)
    rates = np.full(-(-samples // batch), 0.01)
    weight = (
        np.random.default_rng(3).integers(0, 4, samples).astype(spec.dtype) if weights else None
    )
    return np.concatenate(
        [backend.epoch(X, targets, order, batch, rates, weight) for _ in range(2)]
    )


def agree(
    spec: Any, batch: int = 23, *, threads: int = 1, samples: int = 160, weights: bool = False
) -> None:
    arrays = initial_arrays(spec)
    ours, theirs = cpp.Engine(spec, arrays, threads), Composed("numpy", spec, arrays)
    losses = train(ours, spec, batch, samples=samples, weights=weights)
    expected = train(theirs, spec, batch, samples=samples, weights=weights)
    close = (
        {"rtol": 1e-8, "atol": 1e-10} if spec.dtype == "float64" else {"rtol": 2e-3, "atol": 2e-4}
    )
    np.testing.assert_allclose(losses, expected, **close)
    for mine, other in ((ours.parameters(), theirs.parameters()), (ours.state(), theirs.state())):
        assert list(mine) == list(other) or set(mine) == set(other)
        for name, value in other.items():
            np.testing.assert_allclose(mine[name], value, **close, err_msg=name)
    X, _ = data(spec)
    np.testing.assert_allclose(ours.forward(X), theirs.forward(X), **close)


@pytest.mark.parametrize("threads", [1, 2, 5])
@pytest.mark.parametrize("density", [1.0, 0.6])
@pytest.mark.parametrize("shape", SHAPES)
def test_training_agrees_with_the_numpy_kernels(shape: str, density: float, threads: int) -> None:
    sizes, batch = SHAPES[shape]
    layers = len(sizes) - 1
    spec = specify(
        sizes,
        ["relu"] * (layers - 1) + ["softmax"],
        optimizer="adam",
        density=density,
        dtype="float64",
    )
    agree(spec, batch, threads=threads, samples=max(160, batch + 7))


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("density", [0.2, 0.05])
@pytest.mark.parametrize("shape", ["odd", "wide", "large batch"])
def test_sparse_training_agrees_with_the_numpy_kernels(
    shape: str, density: float, threads: int
) -> None:
    sizes, batch = SHAPES[shape]
    names = ["tanh"] * (len(sizes) - 2) + ["softmax"]
    spec = specify(sizes, names, optimizer="adam", density=density, dtype="float64")
    agree(spec, batch, threads=threads, samples=batch + 30)


@pytest.mark.parametrize("activation", HIDDEN)
def test_every_activation_trains(activation: str) -> None:
    agree(specify([6, 9, 7, 3], [activation, activation, "softmax"], dtype="float64"))


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_every_optimizer_trains(optimizer: str, density: float) -> None:
    agree(
        specify(
            [6, 9, 3], ["tanh", "softmax"], optimizer=optimizer, density=density, dtype="float64"
        )
    )


LOSSES = sorted(set(kernels.known("loss")) & set(cpp._engine.names()))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("weights", [False, True])
def test_every_loss_trains(loss: str, weights: bool) -> None:
    output = {"binary_cross_entropy": "sigmoid", "softmax_cross_entropy": "softmax",
              "softmax_cross_entropy_normalised": None}.get(loss, "sigmoid")  # fmt: skip
    agree(specify([5, 8, 3], ["tanh", output], loss=loss, dtype="float64"), weights=weights)


OPTIONS: dict[str, dict[str, Any]] = {
    "batch normalisation": {"batchnorm": True},
    "dropout": {"dropout": 0.3},
    "both, sparse": {"batchnorm": True, "dropout": [0.2, 0.5], "density": 0.4},
    "weight decay": {"weight_decay": 0.1},
    "weight decay, adam": {"weight_decay": 0.1, "optimizer": "adam"},
    "clipping": {"clip_norm": 0.05, "weight_decay": 0.01},
    "clipping, sparse": {"clip_norm": 0.05, "density": 0.5, "optimizer": "adam"},
    "one sparse layer": {"density": [1.0, 0.2, 1.0]},
    "float32": {"dtype": "float32", "batchnorm": True},
    "rows within": {"activations": ["softmax", "log_softmax", "softmax"], "dropout": 0.2},
}


@pytest.mark.parametrize("option", OPTIONS)
@pytest.mark.parametrize("threads", [1, 2])
def test_options_agree_with_the_numpy_kernels(option: str, threads: int) -> None:
    given = {
        "dtype": "float64",
        "activations": ["sigmoid", "relu", "softmax"],
        "seed": 3,
    } | OPTIONS[option]
    agree(specify([40, 50, 30, 5], **given), 30, threads=threads)


@pytest.mark.parametrize("threads", [1, 2])
def test_sharing_samples_of_very_sparse_layers_agrees_with_the_numpy_kernels(threads: int) -> None:
    spec = specify([200, 300, 40, 3], ["tanh", "relu", "softmax"], density=[0.02, 0.02, 0.5], batchnorm=[True, False],
                   dtype="float64", optimizer="momentum")  # fmt: skip
    agree(spec, 100, threads=threads)


def test_step_by_step_is_the_same_as_an_epoch() -> None:
    spec = specify([9, 12, 3], ["relu", "softmax"], optimizer="adam", density=0.5, dtype="float64")
    X, targets = data(spec)
    one, other = (cpp.Engine(spec, initial_arrays(spec), 2) for _ in range(2))
    one.epoch(X, targets, np.arange(160), 40, np.full(4, 0.01))
    for first in range(0, 160, 40):
        other.forward(X[first : first + 40], training=True)
        other.backward(targets[first : first + 40])
        other.update(0.01)
    for name, value in one.parameters().items():
        np.testing.assert_allclose(value, other.parameters()[name], rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("density", [1.0, 0.3])
def test_gradients_are_those_of_the_numpy_kernels(density: float) -> None:
    spec = specify(
        [9, 12, 3], ["relu", "softmax"], density=density, batchnorm=True, dtype="float64"
    )
    X, targets = data(spec)
    arrays = initial_arrays(spec)
    ours, theirs = cpp.Engine(spec, arrays), Composed("numpy", spec, arrays)
    for backend in (ours, theirs):
        backend.forward(X, training=True)
    assert ours.backward(targets) == pytest.approx(theirs.backward(targets), rel=1e-12)
    assert ours.gradients().keys() == theirs.gradients().keys()
    for name, value in theirs.gradients().items():
        np.testing.assert_allclose(
            ours.gradients()[name], value, rtol=1e-9, atol=1e-12, err_msg=name
        )


@pytest.mark.parametrize("clip_norm", [None, 1.0])
def test_dense_weights_show_no_gradient_of_a_pass_before_the_training(clip_norm: float | None) -> None:
    spec = specify([9, 12, 3], ["relu", "softmax"], clip_norm=clip_norm)
    X, targets = data(spec)
    engine = cpp.Engine(spec, initial_arrays(spec))
    engine.forward(X, training=True)
    engine.backward(targets)
    train(engine, spec, 40)
    known = {"layer1.b", "layer2.b"} if clip_norm is None else engine.parameters().keys()
    assert engine.gradients().keys() == known  # what is clipped is made as a whole
    engine.forward(X, training=True)
    engine.backward(targets)
    assert engine.gradients().keys() == engine.parameters().keys()


@pytest.mark.parametrize("threads", [1, 2, 7])
def test_the_same_training_gives_the_same_bits(threads: int) -> None:
    spec = specify(
        [30, 300, 3], ["relu", "softmax"], optimizer="adam", density=[0.02, 1.0], dropout=0.1
    )
    runs = [cpp.Engine(spec, initial_arrays(spec), threads) for _ in range(2)]
    for run in runs:
        train(run, spec, 60)
    for name, value in runs[0].parameters().items():
        np.testing.assert_array_equal(value, runs[1].parameters()[name])


def test_two_networks_train_at_once_as_one_after_the_other() -> None:
    spec = specify([30, 300, 3], ["relu", "softmax"], optimizer="adam", density=[0.3, 1.0])
    together, alone = (
        [cpp.Engine(spec, initial_arrays(spec), 2) for _ in range(2)] for _ in range(2)
    )
    at_once = [threading.Thread(target=train, args=(net, spec, 20)) for net in together]
    for thread in at_once:
        thread.start()
    for thread in at_once:
        thread.join()
    for net in alone:
        train(net, spec, 20)
    for one, other in zip(together, alone, strict=True):
        for name, value in one.parameters().items():
            np.testing.assert_array_equal(value, other.parameters()[name])


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the system has no fork")
@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
def test_a_forked_child_trains() -> None:
    spec = specify([30, 300, 3], ["relu", "softmax"], optimizer="adam")
    net = cpp.Engine(spec, initial_arrays(spec), 2)
    train(net, spec, 60)
    child = os.fork()
    if child == 0:
        signal.alarm(20)
        losses = train(net, spec, 60)
        os._exit(0 if np.isfinite(losses).all() else 1)
    assert os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("optimizer", ["gradient_descent", "adam"])
@pytest.mark.parametrize("density", [1.0, 0.5])
def test_a_step_that_is_not_finite_changes_nothing(optimizer: str, density: float) -> None:
    spec = specify(
        [4, 6, 2], ["relu", "identity"], optimizer=optimizer, density=density, loss="huber"
    )
    net = cpp.Engine(spec, initial_arrays(spec))
    X, T = np.full((8, 4), 1e30, np.float32), np.zeros((8, 2), np.float32)
    net.parameters()["layer1.b"][:] = 1
    if density == 1:
        net.parameters()["layer2.W"][:] = 1e-20
        net.parameters()["layer1.W"][:] = 1e-3
        net.parameters()["layer2.W"][0] = 1e10
    else:
        net.parameters()["layer2.W.values"][:] = 1e10
        net.parameters()["layer1.W.values"][:] = 1e-3
    before = {name: value.copy() for name, value in (net.parameters() | net.state()).items()}
    with pytest.raises(FloatingPointError):
        net.epoch(X, T, np.arange(8), 8, np.ones(1))
    for name, value in (net.parameters() | net.state()).items():
        np.testing.assert_array_equal(value, before[name])


@pytest.mark.parametrize("backend", [cpp.Engine, lambda *given: Composed("numpy", *given)])
@pytest.mark.parametrize(
    ("loss", "bias", "target", "told"),
    [("half_squared_error", "inf", 0, "inf"), ("half_squared_error", "-nan", 0, "nan"),
     ("cross_entropy", "0", -1, "-inf")],
)  # fmt: skip
def test_a_loss_that_is_not_finite_is_told_as_python_writes_it(
    backend: Any, loss: str, bias: str, target: float, told: str
) -> None:
    spec = specify([2, 2], ["identity"], loss=loss)
    net = backend(spec, initial_arrays(spec))
    net.parameters()["layer1.b"][:] = float(bias)
    X, T = np.zeros((3, 2), np.float32), np.full((3, 2), target, np.float32)
    with pytest.raises(FloatingPointError, match=f"^the loss is {told}$"):
        net.epoch(X, T, np.arange(3), 3, np.ones(1))


def test_a_step_that_is_not_finite_moves_no_running_statistics() -> None:
    spec = specify([8, 16, 3], ["tanh", "softmax"], batchnorm=[True, False])
    net = cpp.Engine(spec, initial_arrays(spec))
    net.parameters()["layer1.W"][:] = 0
    X = np.where(np.random.default_rng(0).random((64, 8)) < 0.5, -3e38, 3e38).astype(np.float32)
    before = {name: value.copy() for name, value in net.state().items()}
    with pytest.raises(FloatingPointError):
        net.epoch(X, np.arange(64) % 3, np.arange(64), 64, np.ones(1))
    for name, value in net.state().items():
        np.testing.assert_array_equal(value, before[name], err_msg=name)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="limits memory as Linux does")
def test_a_batch_that_memory_does_not_suffice_for_is_an_error_each_time() -> None:
    program = """
import resource
import numpy as np
from gradwright.backends import cpp
from gradwright.layer import initial_arrays
from gradwright.specification import specify

spec = specify([16, 20000, 3], ["relu", "softmax"])
net = cpp.Engine(spec, initial_arrays(spec))
net.forward(np.ones((8, 16), np.float32))
X, y = np.ones((30000, 16), np.float32), np.zeros(30000, np.int64)
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (1 << 30), resource.RLIM_INFINITY))
for _ in range(2):
    try:
        net.epoch(X, y, np.arange(30000), 30000, np.ones(1))
    except MemoryError:
        print("refused")
"""
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (found.returncode, found.stdout) == (0, "refused\nrefused\n"), found.stderr


def test_ctrl_c_stops_between_two_batches() -> None:
    spec = specify([100, 200, 5], ["relu", "softmax"])
    net = cpp.Engine(spec, initial_arrays(spec), 1)
    X, targets = data(spec, 1000)
    threading.Timer(0.2, lambda: os.kill(os.getpid(), signal.SIGINT)).start()
    start = time.perf_counter()
    with pytest.raises(KeyboardInterrupt):
        net.epoch(X, targets, np.tile(np.arange(1000), 2000), 10, np.full(200_000, 0.001))
    assert time.perf_counter() - start < 5
    steps = int(net.state()["step"][0])
    assert 0 < steps < 200_000
    again = cpp.Engine(spec, initial_arrays(spec), 1)
    again.epoch(X, targets, np.tile(np.arange(1000), 2000)[: 10 * steps], 10, np.full(steps, 0.001))
    np.testing.assert_array_equal(net.parameters()["layer1.W"], again.parameters()["layer1.W"])


def test_python_runs_while_the_engine_trains() -> None:
    spec = specify([100, 400, 5], ["relu", "softmax"])
    net = cpp.Engine(spec, initial_arrays(spec), 1)
    X, targets = data(spec, 1000)
    worker = threading.Thread(
        target=net.epoch, args=(X, targets, np.tile(np.arange(1000), 20), 20, np.full(1000, 0.001))
    )
    worker.start()
    ticks = 0
    while worker.is_alive():
        time.sleep(0.001)
        ticks += 1
    assert ticks > 10


def test_labels_out_of_range_are_refused() -> None:
    spec = specify([2, 3], ["softmax"])
    net = cpp.Engine(spec, initial_arrays(spec))
    for label in (3, -1):
        with pytest.raises(IndexError, match=f"label {label}"):
            net.epoch(np.zeros((1, 2), np.float32), np.array([label]), np.arange(1), 1, np.ones(1))
