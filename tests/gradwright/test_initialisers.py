"""Initial weights have the variance their names promise, and keep or lose the scale of signals."""

import itertools

import numpy as np
import pytest

from gradwright import MLP, initialisers
from gradwright.generated.gains import GAINS

VARIANCES = {
    "he_normal": lambda n, _: 2 / n,
    "he_uniform": lambda n, _: 2 / n,
    "xavier_normal": lambda n, m: 2 / (n + m),
    "xavier_uniform": lambda n, m: 2 / (n + m),
    "lecun_normal": lambda n, _: 1 / n,
    "he": lambda n, _: 2 / n,
    "xavier": lambda n, m: 2 / (n + m),
}


@pytest.mark.parametrize("name", VARIANCES)
def test_variance_is_within_five_percent(name):
    W = initialisers.weights(name, {}, np.random.default_rng(0), 300, 200)
    assert W.shape == (300, 200)
    assert W.var() == pytest.approx(VARIANCES[name](200, 300), rel=0.05)
    assert abs(W.mean()) < 0.01


def test_uniform_and_normal_take_their_parameters():
    rng = np.random.default_rng(0)
    flat = initialisers.weights("uniform", {"a": -2.0, "b": -1.0}, rng, 50, 40)
    assert -2 <= flat.min() < -1.99
    assert -1.01 < flat.max() < -1
    bell = initialisers.weights("normal", {"mean": 3.0, "std": 0.5}, rng, 50, 400)
    assert bell.mean() == pytest.approx(3, abs=0.01)
    assert bell.std() == pytest.approx(0.5, rel=0.02)


@pytest.mark.parametrize("shape", [(5, 8), (8, 5), (6, 6), (1, 3)])
def test_orthogonal_has_orthonormal_rows_or_columns(shape):
    W = initialisers.weights("orthogonal", {}, np.random.default_rng(0), *shape)
    gram = W @ W.T if shape[0] <= shape[1] else W.T @ W
    np.testing.assert_allclose(gram, np.eye(min(shape)), atol=1e-12)


def test_zeros_are_zeros_and_biases_too():
    net = MLP([3, 4, 2], init="zeros")
    assert not any(array.any() for array in net.parameters().values())


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [("he_norml", {}, "did you mean 'he_normal'"), ("normal", {"sigma": 1.0}, "parameter of normal"),
     ("normal", {"std": -1.0}, "std >= 0"), ("uniform", {"a": 2.0, "b": 1.0}, "a <= b")],
)  # fmt: skip
def test_wrong_initialisers_are_refused(name, parameters, message):
    with pytest.raises(ValueError, match=message):
        MLP([2, 2], init=(name, parameters))


def deep(init):
    """The variance of the activations of ten wide ReLU layers on normal input."""
    net = MLP([256] * 11, ["relu"] * 10, init=init, dtype="float64", backend="numpy")
    net.forward(np.random.default_rng(1).normal(size=(200, 256)))
    return [float(layer.a.var()) for layer in net.layers]


def test_he_keeps_the_variance_of_activations_over_ten_layers():
    variances = deep("he")
    assert min(variances) / variances[0] > 0.1
    assert max(variances) / variances[0] < 10


def test_standard_normal_weights_explode():
    variances = deep(("normal", {"std": 1.0}))
    assert all(b > 30 * a for a, b in itertools.pairwise(variances))


@pytest.mark.parametrize("activation", sorted(set(GAINS) - {"trelu"}))
def test_the_derived_gain_keeps_pre_activations_at_variance_one(activation):
    net = MLP([300] * 4, [activation] * 3, init="gain_normal", dtype="float64", backend="numpy")
    net.forward(np.random.default_rng(1).normal(size=(200, 300)))
    for layer in net.layers:
        assert np.square(layer.z).mean() == pytest.approx(1, rel=0.25)


def test_behind_relu_it_is_hes_initialiser():
    assert initialisers.gain("relu", {}) ** 2 == pytest.approx(2)
    assert initialisers.gain("leaky_relu", {"alpha": 0.5}) ** 2 == pytest.approx(2 / 1.25)


def test_a_sparse_layer_keeps_the_variance_of_its_dense_form():
    net = MLP([500, 400], [None], density=0.1, dtype="float64", backend="numpy")
    values = net.parameters()["layer1.W.values"]
    assert len(values) == 20_000
    assert values.var() == pytest.approx(2 / 50, rel=0.05)
