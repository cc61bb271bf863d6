"""What a multilayer perceptron promises: shapes, modes, targets, and the problems it must solve."""

import numpy as np
import pytest

from gradwright import MLP

BACKENDS = ("numpy", "cpp")
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_four_one_solves_xor(backend):
    X, y = XOR
    net = MLP([2, 4, 1], ["relu", "sigmoid"], optimizer="adam", backend=backend, seed=0)
    net.fit(X, y, epochs=500, learning_rate=0.05, batch_size=None, verbose=False)
    assert net.predict(X).tolist() == [0, 1, 1, 0]
    assert ((net.forward(X, training=False)[:, 0] > 0.5) == y).all()


def test_backends_agree_to_rounding():
    X, y = np.random.default_rng(0).normal(size=(50, 6)), np.arange(50) % 3
    options = {
        "activations": ["tanh", "relu", "softmax"], "optimizer": "adam", "batchnorm": True,
        "dropout": 0.3, "dtype": "float64", "weight_decay": 1e-3, "clip_norm": 0.5, "seed": 7,
    }  # fmt: skip
    nets = [MLP([6, 8, 5, 3], backend=backend, **options) for backend in BACKENDS]
    losses = [net.fit(X, y, epochs=3, batch_size=8, verbose=False).loss for net in nets]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)
    one, other = (net.parameters() | net.backend.state() for net in nets)
    assert list(one) == list(other)
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-7, atol=1e-9)
