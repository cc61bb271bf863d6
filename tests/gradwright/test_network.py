"""What a multilayer perceptron promises: shapes, modes, targets, and the problems it must solve."""

import copy
import itertools
import pickle
import subprocess
import sys

import numpy as np
import pytest

import gradwright
from gradwright import MLP, Layer, kernels
from gradwright.generated.numpy import relu as relu_kernel

BACKENDS = ("numpy", "cpp")
XOR = np.array([[0, 0], [0, 1], [1, 0], [1, 1]]), np.array([0, 1, 1, 0])


def spiral(count, seed=0):
    """Two arms of a spiral around each other."""
    rng = np.random.default_rng(seed)
    radius = np.sqrt(rng.uniform(0.05, 1, count)) * 2.5
    side = np.arange(count) % 2
    angle = 1.8 * radius + np.pi * side
    X = radius[:, None] * np.stack([np.cos(angle), np.sin(angle)], axis=1)
    return X + rng.normal(0, 0.05, X.shape), side


def blobs(count, classes=2, seed=0):
    rng = np.random.default_rng(seed)
    y = np.arange(count) % classes
    angle = 2 * np.pi * y / classes
    return np.stack([np.cos(angle), np.sin(angle)], 1) * 3 + rng.normal(0, 0.5, (count, 2)), y


# ---- Problems it must solve --------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_two_four_one_solves_xor(backend):
    X, y = XOR
    net = MLP([2, 4, 1], ["relu", "sigmoid"], optimizer="adam", backend=backend, seed=0)
    net.fit(X, y, epochs=400, learning_rate=0.05, batch_size=None, verbose=False)
    assert net.predict(X).tolist() == [0, 1, 1, 0]
    assert ((net.forward(X, training=False)[:, 0] > 0.5) == y).all()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("batch_size", [1, 32, 1000, None])
def test_separable_classes_are_separated(batch_size, backend):
    X, y = blobs(2000)
    epochs = {1: 1, 32: 3}.get(batch_size, 60)
    net = MLP([2, 8, 2], ["relu", "softmax"], backend=backend)
    net.fit(X, y, epochs=epochs, batch_size=batch_size, learning_rate=0.1, verbose=False)
    assert net.score(X, y) >= 0.99
    assert net.history.loss[-1] < 0.2


def test_the_spiral_is_solved():
    X, y = spiral(400)
    net = MLP([2, 32, 32, 2], ["tanh", "tanh", "softmax"], init="xavier", optimizer="adam")
    net.fit(X, y, epochs=100, learning_rate=0.01, verbose=False)
    assert net.score(X, y) >= 0.98
    assert net.score(*spiral(200, seed=1)) >= 0.95


def test_a_sine_is_fitted():
    x = np.linspace(-np.pi, np.pi, 200)[:, None]
    net = MLP([1, 32, 32, 1], ["tanh", "tanh", None], init="xavier", optimizer="adam")
    net.fit(x, np.sin(x), epochs=150, learning_rate=0.01, verbose=False)
    assert np.abs(net.predict(x) - np.sin(x)).max() < 0.1
    assert net.score(x, np.sin(x)) > 0.99


def test_full_batch_loss_falls_in_every_epoch():
    X, y = blobs(100, classes=3)
    net = MLP([2, 16, 3], ["tanh", "softmax"])
    history = net.fit(X, y, epochs=40, learning_rate=0.1, batch_size=None, verbose=False)
    assert (np.diff(history.loss) < 0).all()
    assert list(history) == history.loss == net.loss_history
    assert len(history) == 40


@pytest.mark.parametrize("activation", kernels.known("activation"))
def test_a_network_learns_with_every_activation(activation):
    X, y = blobs(120, classes=3)
    net = MLP([2, 12, 3], [activation, "softmax"], optimizer="adam", init="xavier", seed=1)
    net.fit(X, y, epochs=40, learning_rate=0.05, verbose=False)
    assert net.score(X, y) > 0.9


@pytest.mark.parametrize("name", kernels.known("optimizer"))
def test_a_network_learns_with_every_optimizer(name):
    X, y = blobs(120, classes=3)
    net = MLP([2, 12, 3], ["relu", "softmax"], optimizer=name)
    rate = {"lion": 0.003, "adagrad": 0.1}.get(name, 0.02)
    losses = net.fit(X, y, epochs=30, learning_rate=rate, verbose=False)
    assert losses[-1] < 0.4 * losses[0]


def test_two_class_softmax_is_logistic_regression():
    """softmax over (0, z) is sigmoid(z): one layer learns the same function, step by step."""
    X, y = blobs(60)
    options = {"init": "zeros", "dtype": "float64"}
    soft = MLP([2, 2], ["softmax"], **options)
    logistic = MLP([2, 1], ["sigmoid"], **options)
    # the difference of the two logits moves twice as fast as either
    soft.fit(X, y, epochs=30, learning_rate=0.05, verbose=False)
    logistic.fit(X, y, epochs=30, learning_rate=0.1, verbose=False)
    np.testing.assert_allclose(soft.predict_proba(X), logistic.predict_proba(X), atol=1e-12)
    np.testing.assert_allclose(soft.loss_history, logistic.loss_history, rtol=1e-12)


def test_a_bottleneck_trains():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(64, 2)) @ rng.normal(size=(2, 100))
    net = MLP([100, 2, 100], [None, None], init="xavier", optimizer="adam")
    net.fit(X, X, epochs=150, learning_rate=0.03, verbose=False)
    assert net.score(X, X) > 0.9


def test_sparse_layers_learn():
    X, y = blobs(120, classes=3)
    net = MLP([2, 32, 16, 3], ["relu", "relu", "softmax"], density=[0.8, 0.2, 1.0],
              optimizer="adam", backend="numpy")  # fmt: skip
    pattern = {k: v.copy() for k, v in net.parameters().items() if v.dtype.kind == "i"}
    net.fit(X, y, epochs=30, learning_rate=0.02, verbose=False)
    assert net.score(X, y) > 0.95
    assert len(net.parameters()["layer2.W.values"]) == round(0.2 * 32 * 16)
    for name, array in pattern.items():
        np.testing.assert_array_equal(net.parameters()[name], array)
    assert "masked" not in net.summary()  # nothing dense is done for them


# ---- Shapes and sizes --------------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("count", [1, 2, 1000])
@pytest.mark.parametrize("sizes", [[3, 2], [3, 4, 2], [5, 8, 7, 6, 5, 4, 3], [2, 1000, 1]])
def test_outputs_and_gradients_have_their_shapes(sizes, count, backend):
    net = MLP(sizes, ["relu"] * (len(sizes) - 2) + [None], backend=backend)
    X = np.random.default_rng(0).normal(size=(count, sizes[0]))
    assert net.forward(X).shape == (count, sizes[-1])
    net.backward(np.zeros((count, sizes[-1])))
    for number, (inputs, outputs) in enumerate(itertools.pairwise(sizes), start=1):
        assert net.gradients()[f"layer{number}.W"].shape == (outputs, inputs)
        assert net.layers[number - 1].DW.shape == (outputs, inputs)
        assert net.layers[number - 1].Db.shape == (outputs,)


def test_a_step_by_hand_is_gradient_descent():
    net = MLP([3, 4, 2], ["relu", "softmax"], dtype="float64")
    before = {name: a.copy() for name, a in net.parameters().items()}
    X, y = np.random.default_rng(0).normal(size=(6, 3)), np.array([0, 1, 1, 0, 1, 0])
    net.forward(X)
    loss = net.backward(y)
    net.update(0.1)
    for name, gradient in net.gradients().items():
        np.testing.assert_allclose(net.parameters()[name], before[name] - 0.1 * gradient)
    net.forward(X)
    assert net.backward(y) < loss


def test_backward_needs_a_forward_pass():
    net = MLP([3, 2])
    with pytest.raises(RuntimeError, match="forward pass"):
        net.backward(np.zeros((1, 2)))
    net.forward(np.zeros((1, 3)), training=False)
    with pytest.raises(RuntimeError, match="forward pass"):
        net.backward(np.zeros((1, 2)))


def test_a_layer_stands_alone():
    layer = Layer(4, 3, "relu", seed=1, dtype="float64")
    X = np.random.default_rng(0).normal(size=(5, 4))
    A = layer.forward(X, training=True)
    np.testing.assert_allclose(layer.z, X @ layer.W.T + layer.b)
    np.testing.assert_array_equal(A, np.maximum(layer.z, 0))
    assert layer.a is A
    assert layer.a_prev is X
    DZ = (layer.z > 0) * 2.0
    np.testing.assert_allclose(layer.backward(np.full_like(A, 2.0)), DZ @ layer.W)
    np.testing.assert_allclose(layer.DW, DZ.T @ X)
    np.testing.assert_allclose(layer.Db, DZ.sum(axis=0))


def test_a_layer_of_data_makes_no_gradient_of_its_input():
    layer = Layer(4, 3, "relu", dtype="float64")
    X = np.random.default_rng(0).normal(size=(5, 4))
    found = []
    for input_gradient in (True, False):
        DX = layer.backward(np.ones_like(layer.forward(X, training=True)), input_gradient)
        assert (DX is not None) == input_gradient
        found.append(layer.gradients.copy())
    for name, gradient in found[0].items():
        np.testing.assert_array_equal(gradient, found[1][name])


def test_training_makes_no_gradient_of_the_samples(monkeypatch):
    """For the first layer, the kernels that have such a gradient are never called."""
    net = MLP([3, 2], ["softmax"], backend="numpy")
    for name in ("linear", "masked_linear"):
        monkeypatch.delattr(kernels.module("numpy", name), "backward")
    net.forward(np.ones((4, 3)))
    net.backward(np.zeros(4, int))
    assert set(net.gradients()) == {"layer1.W", "layer1.b"}


@pytest.mark.parametrize(
    "options",
    [{}, {"batchnorm": True}, {"density": 0.1}, {"density": 0.5, "dropout": 0.4},
     {"activations": ["gelu", "softmax", "softmax"], "batchnorm": True, "dropout": 0.2}],
)  # fmt: skip
def test_both_backends_show_what_their_layers_saved(options):
    given = {"activations": ["relu", "tanh", "softmax"], "dtype": "float64", "seed": 2} | options
    ours, theirs = (MLP([6, 8, 7, 3], backend=b, **given) for b in ("cpp", "numpy"))
    X, y = np.random.default_rng(0).normal(size=(5, 6)), np.array([0, 2, 1, 1, 0])
    for net in (ours, theirs):
        layers = net.layers  # before the forward pass, which fills them
        net.forward(X)
    for one, other in zip(layers and ours.layers, theirs.layers, strict=True):
        for name in ("a_prev", "z", "a"):
            np.testing.assert_allclose(getattr(one, name), getattr(other, name), rtol=1e-12, atol=1e-14)
    seen = ours.layers[0]
    ours.forward(X[:2])
    assert seen.z.shape == (2, 8)
    assert ours.backward(y[:2]) > 0
    assert seen.z.shape == (2, 8)
    assert seen.Db.shape == (8,)
    ours.fit(X, y, epochs=1, verbose=False)
    assert ours.layers[0].z is None


def test_saved_values_are_used_not_recomputed(monkeypatch):
    """After the forward pass no activation is evaluated again."""
    net = MLP([3, 4, 4, 2], ["relu", "sigmoid", "softmax"], backend="numpy")
    X = np.random.default_rng(0).normal(size=(6, 3))
    net.forward(X)

    def recomputed(*_arguments, **_options):
        raise AssertionError("an activation was evaluated in the backward pass")

    for name in ("relu", "sigmoid", "linear"):
        monkeypatch.setattr(kernels.module("numpy", name), "forward", recomputed)
    monkeypatch.setattr(relu_kernel, "_relu", recomputed)
    net.backward(np.zeros(6, int))


# ---- Numbers at the edges ----------------------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("output", ["softmax", "sigmoid"])
def test_logits_of_a_thousand_stay_finite(output, backend):
    net = MLP([2, 2], [output], init="zeros", backend=backend)
    net.parameters()["layer1.W"][...] = [[1000, 0], [0, -1000]]
    X, T = np.eye(2), np.array([[0.0, 1.0], [1.0, 0.0]])
    assert np.isfinite(net.forward(X)).all()
    assert net.backward(T) == pytest.approx(500, abs=1)
    assert all(np.isfinite(g).all() for g in net.gradients().values())


def test_the_logarithm_of_zero_is_never_taken():
    """A probability that underflows to 0 in the output is still exact in the loss."""
    net = MLP([1, 2], ["softmax"], init="zeros", dtype="float64")
    net.parameters()["layer1.W"][...] = [[0], [-2000]]
    assert net.forward(np.ones((1, 1)))[0, 1] == 0
    assert net.backward(np.array([1])) == pytest.approx(2000)


@pytest.mark.parametrize("batchnorm", [False, True])
def test_all_zero_input_trains(batchnorm):
    net = MLP([3, 5, 2], ["relu", "softmax"], batchnorm=batchnorm)
    history = net.fit(np.zeros((8, 3)), np.arange(8) % 2, epochs=3, verbose=False)
    assert np.isfinite(history.loss).all()


def test_a_single_class_is_learned():
    net = MLP([2, 4, 3], ["relu", "softmax"])
    X = np.random.default_rng(0).normal(size=(20, 2))
    net.fit(X, np.full(20, 2), epochs=30, learning_rate=0.5, verbose=False)
    assert (net.predict(X) == 2).all()


def test_five_hidden_layers_have_finite_gradients():
    net = MLP([4, *[16] * 5, 2], ["relu"] * 5 + ["softmax"], seed=2)
    X, y = np.random.default_rng(0).normal(size=(64, 4)), np.arange(64) % 2
    net.fit(X, y, epochs=5, learning_rate=0.05, verbose=False)
    assert all(np.isfinite(g).all() and g.any() for g in net.gradients().values())


# ---- Modes ---------------------------------------------------------------------------------------


def test_dropout_is_identity_at_inference():
    X = np.random.default_rng(0).normal(size=(4, 6))
    with_dropout = MLP([6, 50, 2], dropout=0.5)
    without = MLP([6, 50, 2])
    np.testing.assert_array_equal(with_dropout.outputs(X), without.outputs(X))
    assert not np.array_equal(with_dropout.forward(X), without.forward(X))


def test_running_statistics_approach_those_of_the_data():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(256, 3)) * [1, 2, 3] + 5
    net = MLP([3, 4, 1], batchnorm=True, dtype="float64", backend="numpy")
    net.fit(X, X[:, :1], epochs=100, learning_rate=0.0, batch_size=64, verbose=False)
    z = X @ net.layers[0].W.T + net.layers[0].b
    state = net.backend.state()
    np.testing.assert_allclose(state["layer1.mean"], z.mean(axis=0), rtol=0.1)
    np.testing.assert_allclose(state["layer1.variance"], z.var(axis=0), rtol=0.2)


def test_inference_changes_nothing():
    net = MLP([3, 4, 2], ["relu", "softmax"], batchnorm=True, dropout=0.5)
    X = np.random.default_rng(0).normal(size=(9, 3))
    before = {name: a.copy() for name, a in (net.parameters() | net.backend.state()).items()}
    first = net.predict_proba(X)
    net.score(X, np.zeros(9, int))
    np.testing.assert_array_equal(net.predict_proba(X), first)
    for name, array in (net.parameters() | net.backend.state()).items():
        np.testing.assert_array_equal(array, before[name])


def test_backends_agree_to_rounding():
    X, y = np.random.default_rng(0).normal(size=(50, 6)), np.arange(50) % 3
    options = {
        "activations": ["tanh", "relu", "softmax"], "optimizer": "adam", "batchnorm": True,
        "dropout": 0.3, "dtype": "float64", "weight_decay": 1e-3, "clip_norm": 0.5, "seed": 7,
    }  # fmt: skip
    nets = [MLP([6, 8, 5, 3], backend=backend, **options) for backend in BACKENDS]
    weight = np.linspace(0, 2, 50)
    losses = [
        net.fit(X, y, epochs=3, batch_size=8, sample_weight=weight, verbose=False).loss
        for net in nets
    ]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-10)
    one, other = (net.parameters() | net.backend.state() for net in nets)
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(one[name], other[name], rtol=1e-7, atol=1e-9)


# ---- What it is ----------------------------------------------------------------------------------


def test_the_specification_survives_json():
    net = MLP(
        [6, 8, 5, 3], [("leaky_relu", {"alpha": 0.1}), "gelu", "softmax"], batchnorm=[True, False],
        optimizer=("adam", {"beta1": 0.8}), dropout=0.2, weight_decay=0.01, clip_norm=1, seed=None,
    )  # fmt: skip
    spec = net.specification
    assert gradwright.Specification.from_json(spec.to_json()) == spec


@pytest.mark.parametrize("copy", [copy.deepcopy, lambda net: pickle.loads(pickle.dumps(net))])  # noqa: S301
def test_a_copy_trains_on_with_the_same_bits(copy):
    X, y = blobs(40)
    net = MLP([2, 5, 2], ["relu", "softmax"], optimizer="adam", batchnorm=True, dropout=0.2)
    net.fit(X, y, epochs=2, verbose=False)
    other = copy(net)
    for each in (net, other):
        each.fit(X, y, epochs=2, verbose=False)
    assert net.history.to_json() == other.history.to_json()
    for name, array in net.parameters().items():
        np.testing.assert_array_equal(array, other.parameters()[name])


def test_no_samples_have_no_predictions():
    net = MLP([2, 5, 3], ["relu", "softmax"], batchnorm=True)
    empty = np.empty((0, 2))
    assert net.predict(empty).shape == (0,)
    assert net.predict_proba(empty).shape == (0, 3)


def test_more_weights_than_memory_are_refused_before_any_allocation():
    with pytest.raises(OverflowError, match="layer 1: 1073741824 x 1073741824 weights"):
        MLP([2**30, 2**30, 2])


def test_the_summary_says_what_runs():
    text = MLP([784, 256, 128, 10], ["relu", "relu", "softmax"], backend="numpy").summary()
    assert "784 -> 256" in text
    assert "235,146 parameters" in text
    assert "numpy kernels" in text


def test_importing_networks_does_not_load_sympy():
    program = "import sys; from gradwright import MLP; MLP([2, 1]); sys.exit('sympy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0
