"""The memory table predicts what training takes."""

import tracemalloc

import numpy as np
import pytest

from gradwright import MLP
from gradwright.memory import memory_table

NETWORKS = {
    "plain": ([784, 256, 128, 10], 64, {}),
    "adam": ([784, 256, 128, 10], 64, {"optimizer": "adam"}),
    "normalised and dropped": (
        [300, 400, 300, 10], 256, {"optimizer": "adam", "batchnorm": True, "dropout": 0.5}
    ),
    "wide batch": ([20, 300, 300, 5], 2000, {"optimizer": "momentum", "dtype": "float64"}),
}  # fmt: skip


@pytest.mark.parametrize("what", NETWORKS)
def test_peak_memory_of_training_is_within_ten_percent_of_the_table(what):
    sizes, batch, options = NETWORKS[what]
    activations = ["relu"] * (len(sizes) - 2) + ["softmax"]
    dtype = options.get("dtype", "float32")
    X = np.random.default_rng(0).normal(size=(2 * batch, sizes[0])).astype(dtype)
    y = np.arange(2 * batch) % sizes[-1]
    small = MLP([2, 2, 2], ["relu", "softmax"], backend="numpy", **options)
    small.fit(X[:4, :2], y[:4] % 2, epochs=1, verbose=False)  # imports count for nobody
    tracemalloc.start()
    try:
        net = MLP(sizes, activations, backend="numpy", **options)
        tracemalloc.reset_peak()
        net.fit(X, y, epochs=2, batch_size=batch, verbose=False)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak == pytest.approx(memory_table(net.specification, batch).training_bytes, rel=0.1)
