"""Gradients of whole networks against complex steps and central differences, both independent."""

import numpy as np
import pytest

from gradwright import MLP, kernels

from .complex_step import derivative, loss

ACTIVATIONS = kernels.known("activation")
REGRESSIONS = [
    name for name in kernels.known("loss")
    if name in ("squared_error", "half_squared_error", "mean_squared_error",
                "mean_absolute_error", "huber")
]  # fmt: skip
# how many samples, which output activation and which targets a loss is for
CLASSIFICATIONS = {
    "cross_entropy": "softmax", "softmax_cross_entropy": "identity",
    "softmax_cross_entropy_normalised": "identity", "binary_cross_entropy": "sigmoid",
    "logistic_cross_entropy": "identity", "negative_log_likelihood": "softmax",
    "kl_divergence": "softmax", "hinge": "identity",
}  # fmt: skip
LOSSES = sorted([*REGRESSIONS, *(set(CLASSIFICATIONS) & set(kernels.known("loss")))])


def build(sizes, activations, backend="numpy", **options):
    net = MLP(sizes, activations, init="xavier", dtype="float64", backend=backend, **options)
    rng = np.random.default_rng(5)
    for array in net.parameters().values():
        array += rng.normal(0, 0.1, array.shape)  # biases, gamma and beta are not special
    return net


def targets(net, count, rng):
    K = net.specification.sizes[-1]
    if net.specification.task == "multiclass":
        soft = rng.dirichlet(np.ones(K), count)
        return soft if net.specification.loss == "kl_divergence" else soft.argmax(axis=1)
    if net.specification.task in ("binary", "multilabel"):
        return rng.integers(0, 2, (count, K)).astype(float)
    if net.specification.loss == "logistic_cross_entropy":
        return rng.integers(0, 2, (count, K)).astype(float)
    return rng.normal(size=(count, K))


def check(net, count, directions=2, differences=True):
    """Derivatives along random directions, each a generic mixture of all parameters."""
    rng = np.random.default_rng(11)
    X = rng.normal(size=(count, net.specification.sizes[0]))
    T = targets(net, count, rng)
    parameters = {k: v.copy() for k, v in net.parameters().items()}
    net.forward(X)
    value = net.backward(T)
    gradients = {k: v.copy() for k, v in net.gradients().items()}
    assert {k: v.shape for k, v in gradients.items()} == {
        k: v.shape for k, v in parameters.items()
    }
    exact = loss(net.specification, parameters, X, T)
    assert value == pytest.approx(exact.real, rel=1e-12)
    for _ in range(directions):
        v = {k: rng.normal(size=a.shape) for k, a in parameters.items()}
        found = sum(float(np.vdot(gradients[k], v[k])) for k in v)
        size = np.sqrt(sum(float(np.vdot(g, g)) for g in gradients.values()))
        wanted = derivative(net.specification, parameters, v, X, T)
        assert abs(found - wanted) <= 1e-10 * (abs(wanted) + size)
        if differences:
            numeric = central(net, parameters, v, X, T)
            assert abs(found - numeric) <= 1e-5 * (abs(found) + abs(numeric) + 1e-3 * size)


def central(net, parameters, v, X, T, epsilon=1e-6):
    """(L(theta + eps v) - L(theta - eps v)) / (2 eps), with the network's own forward pass."""
    values = []
    for sign in (1, -1):
        for name, array in net.parameters().items():
            array[...] = parameters[name] + sign * epsilon * v[name]
        net.forward(X)
        values.append(net.backward(T))
    for name, array in net.parameters().items():
        array[...] = parameters[name]
    return (values[0] - values[1]) / (2 * epsilon)


@pytest.mark.parametrize("batchnorm", [False, True])
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_with_every_activation(activation, batchnorm):
    net = build([4, 5, 4, 3], [activation, activation, "softmax"], batchnorm=batchnorm)
    check(net, 7)


@pytest.mark.parametrize("batchnorm", [False, True])
@pytest.mark.parametrize("name", LOSSES)
def test_gradients_with_every_loss(name, batchnorm):
    output = CLASSIFICATIONS.get(name, "identity")
    check(build([4, 5, 3], ["tanh", output], loss=name, batchnorm=batchnorm), 7)


def test_every_loss_is_checked():
    assert kernels.known("loss") == LOSSES


@pytest.mark.parametrize("options", [{}, {"batchnorm": True, "dropout": 0.2}])
@pytest.mark.parametrize("depth", [*range(1, 7), 12])
def test_gradients_at_every_depth(depth, options):
    sizes = [3, *[5, 4, 5, 4, 5, 4, 5, 4, 5, 4, 5][: depth - 1], 2]
    net = build(sizes, ["silu"] * (depth - 1) + ["softmax"], **options)
    check(net, 6)


@pytest.mark.parametrize(
    ("sizes", "count"),
    [([1, 1, 1], 1), ([2, 1, 3], 1000), ([3, 1000, 2], 5), ([100, 2, 100], 20), ([1000, 3], 1),
     ([2, 30, 1000], 3)],
)  # fmt: skip
def test_gradients_at_every_size(sizes, count):
    net = build(sizes, ["relu"] * (len(sizes) - 2) + ["identity"])
    check(net, count, directions=1)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("output", ["softmax", "identity"])
def test_the_gradient_of_every_single_parameter(activation, output):
    net = build([3, 4, 2, 3], [activation, activation, output])
    rng = np.random.default_rng(2)
    X, T = rng.normal(size=(5, 3)), targets(net, 5, rng)
    parameters = {k: v.copy() for k, v in net.parameters().items()}
    net.forward(X)
    net.backward(T)
    gradients = {k: v.copy() for k, v in net.gradients().items()}
    for name, gradient in gradients.items():
        for place in np.ndindex(gradient.shape):
            v = {k: np.zeros_like(a) for k, a in parameters.items()}
            v[name][place] = 1.0
            wanted = derivative(net.specification, parameters, v, X, T)
            assert gradient[place] == pytest.approx(wanted, rel=1e-10, abs=1e-14)
            numeric = central(net, parameters, v, X, T, 1e-5)
            error = abs(gradient[place] - numeric)
            assert error / (abs(gradient[place]) + abs(numeric) + 1e-8) < 1e-5 or error < 1e-10


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_cpp_gradients_are_those_of_numpy(activation):
    nets = [
        build([4, 6, 5, 3], [activation, "tanh", "softmax"], backend, batchnorm=[True, False])
        for backend in ("numpy", "cpp")
    ]
    rng = np.random.default_rng(3)
    X, y = rng.normal(size=(9, 4)), rng.integers(0, 3, 9)
    found = []
    for net in nets:
        net.forward(X)
        found.append((net.backward(y), net.gradients()))
    assert found[0][0] == pytest.approx(found[1][0], rel=1e-13)
    for name, gradient in found[0][1].items():
        np.testing.assert_allclose(gradient, found[1][1][name], rtol=1e-10, atol=1e-13)
