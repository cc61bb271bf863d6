"""Training: batches, order, weights, validation, stopping, schedules, data of every form."""

import csv
import os
import signal
import sys
import threading
import time
import tracemalloc

import numpy as np
import pytest

from gradwright import MLP, DivergenceError, kernels, load, metrics
from gradwright.backends.interrupts import between_batches
from gradwright.backends.masks import dropout_mask
from gradwright.training.display import Bar, Lines, display
from gradwright.training.history import History

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(25, 4)), RNG.integers(0, 3, 25)


def build(seed=1, **options):
    options = {"backend": "numpy", "dtype": "float64", "optimizer": "momentum"} | options
    return MLP([4, 6, 3], ["tanh", "softmax"], seed=seed, **options)


def fit(net, X=X, y=Y, **options):
    options = {"epochs": 3, "batch_size": 8, "learning_rate": 0.05, "verbose": False} | options
    return net.fit(X, y, **options)


def same(one, other):
    return all(np.array_equal(a, other.parameters()[k]) for k, a in one.parameters().items())


# ---- Batches and order ---------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_the_same_seed_gives_the_same_bits(backend):
    one, other = (build(backend=backend, dropout=0.3) for _ in range(2))
    assert fit(one).loss == fit(other).loss
    assert same(one, other)


def test_another_seed_gives_another_curve_to_a_similar_accuracy():
    y = (X[:, 0] > 0).astype(int)
    losses = [fit(net := build(seed=s), y=y, epochs=60).loss for s in (1, 2)]
    assert losses[0] != losses[1]
    assert abs(losses[0][-1] - losses[1][-1]) < 0.1
    assert net.score(X, y) > 0.9


@pytest.mark.parametrize("batch_size", [1, 7, 25, 100, None])
def test_every_sample_is_used_in_every_epoch_with_its_weight(batch_size):
    """With learning rate 0 the mean loss of an epoch is that of the whole data."""
    net = build()
    net.forward(X)
    whole = net.backward(Y)
    history = fit(net, batch_size=batch_size, learning_rate=0.0, epochs=2)
    assert history.loss == pytest.approx([whole] * 2, rel=1e-12)
    batches = 1 if batch_size is None else -(-25 // batch_size)
    assert int(net.backend.state()["step"][0]) == 2 * batches


def test_full_batch_is_one_step_of_gradient_descent():
    one, other = (build(optimizer="gradient_descent") for _ in range(2))
    fit(one, batch_size=None, shuffle=False, epochs=1)
    other.forward(X)
    other.backward(Y)
    other.update(0.05)
    assert same(one, other)


def test_without_shuffling_the_order_is_that_of_the_data():
    one, other = build(), build()
    fit(one, shuffle=False, epochs=1)
    for first in range(0, 25, 8):
        other.forward(X[first : first + 8])
        other.backward(Y[first : first + 8])
        other.update(0.05)
    assert same(one, other)


def test_two_fits_are_one_long_fit():
    one, other = build(), build()
    fit(one, epochs=5)
    fit(other, epochs=2)
    fit(other, epochs=3)
    assert same(one, other)
    assert one.loss_history == other.loss_history


def test_masks_depend_on_seed_layer_and_step_alone():
    def mask(*key):
        return dropout_mask(*key, (50, 40), 0.25, np.float64)

    assert np.array_equal(mask(1, 2, 3), mask(1, 2, 3))
    others = [mask(0, 2, 3), mask(1, 1, 3), mask(1, 2, 4)]
    assert not any(np.array_equal(mask(1, 2, 3), other) for other in others)
    assert set(np.unique(mask(1, 2, 3))) == {0, 1 / 0.75}
    assert (mask(1, 2, 3) == 0).mean() == pytest.approx(0.25, abs=0.03)


# ---- Forms of data -------------------------------------------------------------------------------


def test_a_memmap_trains_as_the_array_does(tmp_path):
    np.save(tmp_path / "X.npy", X.astype(np.float32))
    mapped = np.load(tmp_path / "X.npy", mmap_mode="r")
    one, other = (build(dtype="float32") for _ in range(2))
    fit(one, X.astype(np.float32))
    fit(other, mapped)
    assert same(one, other)


def test_a_large_memmap_is_never_copied_whole(tmp_path):
    path = tmp_path / "large.bin"
    large = np.memmap(path, np.float64, "w+", shape=(400_000, 20))
    large[:, 0] = np.linspace(-1, 1, len(large))
    y = np.memmap(tmp_path / "y.bin", np.int64, "w+", shape=len(large))
    y[:] = large[:, 0] > 0
    net = MLP([20, 4, 2], ["tanh", "softmax"], backend="numpy")
    tracemalloc.start()
    net.fit(large, y, epochs=1, batch_size=4096, learning_rate=0.5, verbose=False)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < large.nbytes / 2  # a chunk before and after conversion, and the order of rows
    assert net.score(large, y) > 0.9


def test_a_fit_on_batches_resumes_within_an_epoch():
    batches = [(X[k : k + 8], Y[k : k + 8]) for k in range(0, 25, 8)]
    one, other = build(), build()
    one.fit(batches, epochs=3, verbose=False)

    def stop(net):
        return int(net.backend.state()["step"][0]) == 6

    class Stop:
        on_batch_end = staticmethod(stop)

    other.fit(batches, epochs=3, verbose=False, callbacks=[Stop()])
    assert other.history.stopped == "a callback ended it"
    other.resume(batches, verbose=False)
    assert same(one, other)
    assert one.loss_history == other.loss_history


def test_an_iterable_of_batches_trains_as_the_array_does():
    batches = [(X[k : k + 8], Y[k : k + 8]) for k in range(0, 25, 8)]
    one, other = build(), build()
    fit(one, shuffle=False)
    other.fit(batches, epochs=3, learning_rate=0.05, verbose=False)
    assert same(one, other)
    assert one.loss_history == pytest.approx(other.loss_history, rel=1e-14)


def test_an_iterator_is_exhausted_after_an_epoch():
    with pytest.raises(ValueError, match="gives its batches once"):
        build().fit(iter([(X, Y)]), epochs=2, verbose=False)


def test_integers_lists_and_other_orders_are_the_same_data():
    data = RNG.integers(0, 9, (25, 4))
    nets = [build() for _ in range(4)]
    forms = [data.astype(float), data, data.tolist(), np.asfortranarray(data.astype(float))]
    for net, form in zip(nets, forms, strict=True):
        fit(net, form)
        assert same(net, nets[0])


def test_one_hot_rows_train_as_labels_do():
    one, other = build(), build()
    fit(one)
    fit(other, y=np.eye(3)[Y])
    for name, array in one.parameters().items():
        np.testing.assert_allclose(array, other.parameters()[name], rtol=1e-12)


def test_labels_of_several_kinds_at_once():
    T = np.stack([X[:, 0] > 0, X[:, 1] > 0], axis=1).astype(int)
    net = MLP([4, 16, 2], ["tanh", "sigmoid"], optimizer="adam")
    fit(net, y=T, epochs=150)
    assert net.predict(X).shape == (25, 2)
    assert net.score(X, T) == 1
    assert net.predict_proba(X).min() >= 0


# ---- Weights -------------------------------------------------------------------------------------


LOSSES = [("softmax", None), (None, "half_squared_error"), (None, "mean_squared_error"),
          ("sigmoid", None), (None, "squared_error"), ("sigmoid", "cross_entropy"),
          (None, "logistic_cross_entropy"), (None, "softmax_cross_entropy_normalised"),
          ("softmax", "negative_log_likelihood"), ("softmax", "kl_divergence"), (None, "huber"),
          (None, "hinge"), (None, "mean_absolute_error")]  # fmt: skip


def test_weights_are_checked_for_every_loss():
    outputs = [MLP([1, 1], [output], loss=name, backend="numpy") for output, name in LOSSES]
    assert {net.specification.loss_kernel for net in outputs} == set(kernels.known("loss"))


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize(("output", "name"), LOSSES)
def test_a_weight_of_two_is_the_sample_twice(output, name, backend):
    weight = RNG.integers(0, 3, 12)
    T = RNG.uniform(size=(12, 3))
    T /= T.sum(axis=1, keepdims=True)
    nets = [
        MLP([4, 3], [output], loss=name, dtype="float64", backend=backend) for _ in range(2)
    ]
    nets[0].forward(X[:12])
    losses = [nets[0].backward(T, weight)]
    rows = np.repeat(np.arange(12), weight)
    nets[1].forward(X[rows])
    losses.append(nets[1].backward(T[rows]))
    assert losses[0] == pytest.approx(losses[1], rel=1e-12)
    for key, gradient in nets[0].gradients().items():
        np.testing.assert_allclose(gradient, nets[1].gradients()[key], rtol=1e-10, atol=1e-14)


def test_a_batch_of_zero_weights_moves_nothing():
    net = build(optimizer="gradient_descent")
    before = {k: a.copy() for k, a in net.parameters().items()}
    assert fit(net, sample_weight=np.zeros(25)).loss == [0, 0, 0]
    assert all(np.array_equal(a, before[k]) for k, a in net.parameters().items())


def test_balanced_class_weights_count_every_class_alike():
    y = np.array([0] * 20 + [1] * 4 + [2])
    one, other = build(), build()
    fit(one, y=y, class_weight="balanced")
    fit(other, y=y, sample_weight=25 / 3 / np.bincount(y)[y])
    assert same(one, other)


def test_label_smoothing_is_soft_targets():
    one, other = build(label_smoothing=0.1), build()
    fit(one)
    fit(other, y=np.eye(3)[Y] * 0.9 + 0.1 / 3)
    assert same(one, other)


def test_weight_decay_shrinks_weights_alone():
    net = build(weight_decay=0.5, optimizer="gradient_descent")
    net.parameters()["layer1.b"][...] = 1
    W = net.parameters()["layer1.W"].copy()
    fit(net, sample_weight=np.zeros(25), epochs=1, batch_size=None, learning_rate=0.1)
    np.testing.assert_allclose(net.parameters()["layer1.W"], W * 0.95)
    assert (net.parameters()["layer1.b"] == 1).all()


def test_clipping_bounds_the_common_norm():
    clipped, free = (build(clip_norm=c, optimizer="gradient_descent") for c in (1e-3, None))
    before = {k: a.copy() for k, a in free.parameters().items()}
    for net in (clipped, free):
        fit(net, epochs=1, batch_size=None, learning_rate=1.0)
    steps = [
        np.concatenate([(net.parameters()[k] - before[k]).ravel() for k in before])
        for net in (clipped, free)
    ]
    assert np.linalg.norm(steps[0]) == pytest.approx(1e-3)
    np.testing.assert_allclose(steps[0], steps[1] * 1e-3 / np.linalg.norm(steps[1]), atol=1e-15)


# ---- Schedules, stopping, what is told -----------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_gradients_whose_squares_are_infinite_are_clipped_right(backend):
    net = MLP([2, 1], [None], "zeros", loss="squared_error", clip_norm=0.5, backend=backend)
    stepped(net, np.array([[1e12, 0]], np.float32), np.array([[1e12]], np.float32), rate=1.0)
    assert net.parameters()["layer1.W"].tolist() == [[0.5, 0.0]]


def test_a_schedule_follows_the_steps():
    rates = []
    net = build()
    fit(net, learning_rate=lambda step: rates.append(step) or 0.01, epochs=2)
    assert sorted(set(rates)) == list(range(8))
    history = fit(build(), learning_rate=("cosine", {"learning_rate": 0.1}), epochs=4)
    wanted = [0.05 * (1 + np.cos(np.pi * (4 * e + 3) / 16)) for e in range(4)]
    assert history.learning_rate == pytest.approx(wanted)


def test_early_stopping_restores_the_best_weights(tmp_path):
    net = build(optimizer="gradient_descent")
    best = {}

    class Remember:
        def on_epoch_end(self, net):
            if not best or net.history.validation_loss[-1] < best["loss"]:
                best.update(loss=net.history.validation_loss[-1], at=net.progress.epoch)
                best.update({k: a.copy() for k, a in net.parameters().items()})

    history = fit(net, epochs=500, learning_rate=1.5, validation_split=0.4, patience=5,
                  callbacks=[Remember()], checkpoint=str(tmp_path / "last.gw"))  # fmt: skip
    assert len(history) == best["at"] + 5 < 500
    assert f"the weights of epoch {best['at']} are restored" in history.stopped
    assert not net.progress.unfinished
    assert all(np.array_equal(a, best[k]) for k, a in net.parameters().items())
    assert same(net, load(tmp_path / "last.gw", backend="numpy"))


def test_validation_data_and_metrics_are_recorded():
    net = build()
    history = fit(net, validation_data=(X, Y), metrics=["accuracy", ("top_k", {"k": 2})])
    columns = history.columns()
    assert set(columns) == {"loss", "validation_loss", "learning_rate", "validation_accuracy",
                            "validation_top_k"}  # fmt: skip
    assert columns["validation_accuracy"][-1] == net.score(X, Y)
    net.forward(X, training=False)
    assert columns["validation_loss"][-1] == pytest.approx(
        -np.log(net.predict_proba(X)[np.arange(25), Y]).mean()
    )


def test_a_callback_ends_the_training():
    history = fit(build(), epochs=50, callbacks=[lambda net: len(net.loss_history) == 4])
    assert len(history) == 4
    assert history.stopped == "a callback ended it"


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_ctrl_c_is_answered_between_two_steps_and_keeps_them(backend):
    data, y = RNG.normal(size=(5000, 20)), RNG.integers(0, 3, 5000)
    net = MLP([20, 64, 3], ["relu", "softmax"], backend=backend)
    step = net.backend.state()["step"]

    def press_ctrl_c():
        while step[0] < 400:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=press_ctrl_c)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        net.fit(data, y, epochs=10_000, batch_size=16, verbose=False)
    thread.join()
    assert 0 <= step[0] - net.progress.epoch_step <= 313
    assert len(net.loss_history) == net.progress.epoch >= 1
    assert net.history.stopped == f"interrupted in epoch {net.progress.epoch + 1}"
    assert np.isfinite(net.predict_proba(data)).all()


def test_an_interrupt_that_is_held_back_is_raised_at_the_end():
    done = []

    def step():
        with between_batches():
            signal.raise_signal(signal.SIGINT)
            done.append("the step")

    with pytest.raises(KeyboardInterrupt):
        step()
    assert done == ["the step"]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_lines_are_printed_where_the_output_is_no_terminal(capsys):
    fit(build(), epochs=10, verbose=4)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[0] for line in lines] == [
        "epoch 1/10", "epoch 4/10", "epoch 8/10", "epoch 10/10",
    ]  # fmt: skip
    assert all("loss" in line and line.endswith("s left") for line in lines)
    fit(build(), verbose=False)
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_a_bar_with_loss_and_time_left(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    shown = display(True)
    assert isinstance(shown, Bar)
    fit(build(), verbose=shown)
    out = capsys.readouterr().out
    assert "epoch 3/3" in out
    assert "loss 1." in out
    assert "0:00:00" in out
    monkeypatch.setitem(sys.modules, "rich.progress", None)
    assert isinstance(display(True), Lines)


def test_curves_are_written_as_table_and_picture(tmp_path):
    history = fit(build(), validation_split=0.2)
    history.to_csv(tmp_path / "curve.csv")
    rows = list(csv.DictReader((tmp_path / "curve.csv").open()))
    assert [float(row["loss"]) for row in rows] == history.loss
    assert rows[-1]["epoch"] == "3"
    history.plot(tmp_path / "curve.png")
    assert (tmp_path / "curve.png").read_bytes().startswith(b"\x89PNG")
    assert History.from_json(history.to_json()) == history


# ---- What goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_divergence_is_stopped_and_its_layer_is_named(backend):
    net = MLP([4, 6, 5, 1], ["relu", "relu", None], backend=backend)
    with pytest.raises(DivergenceError, match=r"in epoch \d+, batch \d+.*layer \d") as caught:
        fit(net, y=X[:, 0] * 1e10, learning_rate=1e20, epochs=50)
    assert "lower the learning rate" in str(caught.value)
    assert all(np.isfinite(a).all() for a in net.parameters().values())


def test_the_first_value_that_is_not_finite_is_found_in_its_layer():
    net = MLP([4, 6, 5, 2], ["relu", "relu", "softmax"], dtype="float32", backend="numpy")
    net.parameters()["layer2.W"][...] = 3e38
    with pytest.raises(DivergenceError, match=r"layer 2, pre-activation z: entry \[\d+, \d\]"):
        fit(net, X + 10, Y % 2)


BAD = {
    "sizes": (lambda: MLP([4]), ValueError, "at least an input and an output"),
    "size 0": (lambda: MLP([4, 0, 2]), ValueError, r"layer_sizes\[1\] is 0"),
    "size 2.5": (lambda: MLP([4, 2.5]), TypeError, r"layer_sizes\[1\] is 2.5"),
    "sizes text": (lambda: MLP("4-2"), TypeError, "expected widths"),
    "activation": (lambda: MLP([4, 2], ["rleu"]), ValueError, "did you mean 'relu'"),
    "one missing": (lambda: MLP([4, 3, 2], ["relu"]), ValueError, "expected 2 activations"),
    "parameter": (
        lambda: MLP([4, 2], [("leaky_relu", {"alhpa": 1})]), ValueError, "did you mean 'alpha'"
    ),
    "loss": (lambda: MLP([4, 2], loss="crossentropy"), ValueError, "did you mean 'cross_entropy'"),
    "loss on logits": (
        lambda: MLP([4, 2], ["tanh"], loss="softmax_cross_entropy"), ValueError, "works on logits"
    ),
    "optimizer": (lambda: MLP([4, 2], optimizer="adma"), ValueError, "did you mean 'adam'"),
    "hyperparameter": (
        lambda: MLP([4, 2], optimizer=("adam", {"beta3": 1})), ValueError, "did you mean 'beta"
    ),
    "beta": (
        lambda: MLP([4, 2], optimizer=("adam", {"beta1": 1.0})), ValueError, r"adam: .*beta1.*\[0, 1\)"
    ),
    "epsilon": (
        lambda: MLP([4, 2], optimizer=("adam", {"epsilon": -1.0})), ValueError, "epsilon > 0"
    ),
    "alpha NaN": (
        lambda: MLP([4, 2], [("leaky_relu", {"alpha": np.nan})]), ValueError, "alpha"
    ),
    "delta": (lambda: MLP([4, 2], loss=("huber", {"delta": -1.0})), ValueError, "delta > 0"),
    "smoothing": (
        lambda: MLP([4, 2], ["softmax"], label_smoothing=1.5), ValueError, r"in \[0, 1\], got 1.5"
    ),
    "backend": (lambda: MLP([4, 2], backend="numpi"), ValueError, "did you mean 'numpy'"),
    "dtype": (lambda: MLP([4, 2], dtype="float16"), TypeError, "expected float32 or float64"),
    "dropout": (lambda: MLP([4, 3, 2], dropout=1.5), ValueError, "dropout in"),
    "density": (lambda: MLP([4, 3], density=0.01), ValueError, "leaves no weight"),
    "seed": (lambda: MLP([4, 2], seed=-1), ValueError, "seed"),
    "decay": (lambda: MLP([4, 2], weight_decay=-1), ValueError, "weight_decay"),
    "clip": (lambda: MLP([4, 2], clip_norm=0), ValueError, "clip_norm"),
    "label K": (lambda: fit(build(), y=Y + 1), IndexError, r"label 3 at y\[\d+\] is outside 0..2"),
    "label -1": (lambda: fit(build(), y=Y - 1), IndexError, "label -1"),
    "float labels": (lambda: fit(build(), y=Y * 1.0), TypeError, "labels are integers"),
    "short y": (lambda: fit(build(), y=Y[:-1]), ValueError, "25 samples and y has 24"),
    "narrow X": (lambda: fit(build(), X[:, :3]), ValueError, r"expected X of shape \(N, 4\)"),
    "one sample": (lambda: build().predict(X[0]), ValueError, r"one sample is X\[None\]"),
    "no samples": (lambda: fit(build(), X[:0], Y[:0]), ValueError, "no samples"),
    "text": (lambda: fit(build(), X.astype(str)), TypeError, "expected real numbers"),
    "complex": (lambda: fit(build(), X + 0j), TypeError, "complex128"),
    "objects": (lambda: fit(build(), X.astype(object)), TypeError, "object"),
    "none": (lambda: fit(build(), None), TypeError, "X is NoneType"),
    "y missing": (lambda: fit(build(), y=None), TypeError, "y is missing"),
    "narrow y": (lambda: fit(build(), y=np.eye(2)[Y % 2]), ValueError, r"shape \(N, 3\)"),
    "(3,) for (2, 3)": (
        lambda: fit(MLP([4, 3], backend="numpy"), X[:2], np.ones(3)), ValueError, "and y has 3"
    ),
    "no broadcast": (
        lambda: fit(MLP([4, 3], backend="numpy"), X, np.ones(25)), ValueError, r"shape \(N, 3\)"
    ),
    "y of many blocks": (
        lambda: fit(MLP([3072, 8, 10]), np.zeros((400, 3072)), np.zeros(400)), ValueError,
        r"shape \(N, 10\), got \(400,\)",
    ),
    "epochs": (lambda: fit(build(), epochs=-1), ValueError, "epochs >= 0"),
    "batch 0": (lambda: fit(build(), batch_size=0), ValueError, "batch_size >= 1"),
    "rate": (lambda: fit(build(), learning_rate=-1), ValueError, "learning_rate >= 0"),
    "rate NaN": (lambda: fit(build(), learning_rate=np.nan), ValueError, "learning_rate"),
    "schedule": (lambda: fit(build(), learning_rate="cosin"), ValueError, "did you mean cosine"),
    "argument": (lambda: fit(build(), pateince=3), TypeError, "did you mean 'patience'"),
    "metric": (lambda: fit(build(), metrics=["acuracy"]), ValueError, "did you mean 'accuracy'"),
    "weights": (
        lambda: fit(build(), sample_weight=[1]), ValueError, r"sample_weight of shape \(25,\)"
    ),
    "weight < 0": (lambda: fit(build(), sample_weight=-X[:, 0] ** 2), ValueError, "expected >= 0"),
    "class weight": (lambda: fit(build(), class_weight={3: 1.0}), ValueError, "no class 3"),
    "class weights": (lambda: fit(build(), class_weight=[1, 2]), ValueError, "3 class weights"),
    "split": (lambda: fit(build(), validation_split=1.0), ValueError, "validation_split"),
    "one alone": (
        lambda: fit(build(batchnorm=True)), ValueError, "needs more than one sample a batch"
    ),
    "binary 2": (
        lambda: fit(MLP([4, 1], ["sigmoid"]), y=Y), IndexError, "is neither 0 nor 1"
    ),
    "no classes": (lambda: MLP([4, 1]).predict_proba(X), ValueError, "no probabilities"),
}  # fmt: skip


@pytest.mark.parametrize("what", BAD)
def test_bad_input_is_refused_with_its_reason(what):
    call, kind, message = BAD[what]
    with pytest.raises(kind, match=message):
        call()


def stepped(net, X=X, y=Y, rate=0.1):
    net.forward(X)
    net.backward(y)
    net.update(rate)


STEPS = {
    "rate -1": (lambda b: stepped(build(backend=b), rate=-1.0), "learning_rate >= 0, got -1"),
    "rate NaN": (lambda b: stepped(build(backend=b), rate=np.nan), "learning_rate >= 0, got nan"),
    "fewer targets": (lambda b: stepped(build(backend=b), y=Y[:3]), "25"),
    "more targets": (lambda b: stepped(build(backend=b), X[:3]), "3"),
    "no samples": (lambda b: stepped(build(backend=b), X[:0], Y[:0]), "at least one sample"),
    "one sample": (
        lambda b: stepped(build(backend=b, batchnorm=True), X[:1], Y[:1]), "more than one sample"
    ),
    "one alone at the end": (
        lambda b: fit(build(backend=b, batchnorm=True), [(X[:9], Y[:9]), (X[:1], Y[:1])], None),
        "more than one sample",
    ),
    "rates < 0": (lambda b: fit(build(backend=b), learning_rate=lambda _: -1.0), "got -1"),
    "NaN for a class": (lambda b: build(backend=b).predict(X * np.nan), "row 0 are NaN"),
    "NaN for a score": (
        lambda b: build(backend=b).score(np.where(np.arange(25)[:, None] == 4, np.nan, X), Y),
        "row 4 are NaN",
    ),
}  # fmt: skip


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
@pytest.mark.parametrize("what", STEPS)
def test_a_step_that_cannot_be_made_is_refused_by_both_backends(what, backend):
    call, message = STEPS[what]
    with pytest.raises(ValueError, match=message):
        call(backend)


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_no_samples_change_no_running_statistics(backend):
    net = build(backend=backend, batchnorm=True)
    before = {name: array.copy() for name, array in net.backend.state().items()}
    assert net.forward(X[:0]).shape == (0, 3)
    for name, array in net.backend.state().items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("backend", ["numpy", "cpp"])
def test_a_gradient_that_is_not_finite_is_named_and_changes_nothing(backend):
    net = build(backend=backend, optimizer="adam")
    data = X.copy()
    data[1, 2] = np.inf
    before = {k: v.copy() for k, v in (net.parameters() | net.backend.state()).items()}
    with pytest.raises(FloatingPointError, match=r"gradient of layer1\.W"):
        stepped(net, data)
    for name, array in (net.parameters() | net.backend.state()).items():
        np.testing.assert_array_equal(array, before[name])


@pytest.mark.parametrize("finite_loss", [False, True])
def test_numpy_leaves_the_running_statistics_where_a_step_is_refused(finite_loss):
    net = build(backend="numpy", batchnorm=True, dtype="float32")
    if finite_loss:  # and an infinite gradient
        net.parameters()["layer1.W"][:] = 0
    data = np.where(X > 0, np.float32(3e38), np.float32(-3e38))
    before = {k: v.copy() for k, v in (net.parameters() | net.backend.state()).items()}
    with pytest.raises(DivergenceError, match=f"batch 1: the {'gradient' if finite_loss else 'loss'}"):
        fit(net, data, batch_size=None)
    for name, array in (net.parameters() | net.backend.state()).items():
        np.testing.assert_array_equal(array, before[name], err_msg=name)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_missing_value_is_named_by_row_and_column(value):
    data = X.copy()
    data[17, 2] = value
    net = build()
    with pytest.raises(ValueError, match="row 17, column 2"):
        fit(net, data)
    T = np.zeros((25, 3))
    T[3, 1] = value
    with pytest.raises(ValueError, match=r"y holds .* row 3, column 1"):
        fit(MLP([4, 3]), y=T)
    batches = [(X[:10], Y[:10]), (data[10:], Y[10:])]
    with pytest.raises(ValueError, match="row 17, column 2"):
        net.fit(batches, verbose=False)


def test_missing_values_are_let_through_on_demand():
    data = X.copy()
    data[17, 2] = np.nan
    with pytest.raises(DivergenceError, match="the input X"):
        fit(build(), data, allow_nan=True)


# ---- Metrics -------------------------------------------------------------------------------------


def test_metrics_are_those_of_scikit_learn():
    import sklearn.metrics as peers

    y, p = RNG.integers(0, 4, 60), RNG.integers(0, 4, 60)
    scores = RNG.normal(size=(60, 4))
    np.testing.assert_array_equal(metrics.confusion_matrix(y, p), peers.confusion_matrix(y, p))
    for average in ("macro", "micro"):
        for mine, theirs in ((metrics.precision, peers.precision_score),
                             (metrics.recall, peers.recall_score),
                             (metrics.f1, peers.f1_score)):  # fmt: skip
            wanted = theirs(y, p, average=average, zero_division=0)
            assert mine(y, p, average=average) == pytest.approx(wanted)
    wanted = peers.top_k_accuracy_score(y, scores, k=2)
    assert metrics.top_k_accuracy(y, scores, k=2) == pytest.approx(wanted)
    a, b, w = RNG.normal(size=(9, 2)), RNG.normal(size=(9, 2)), RNG.uniform(size=9)
    assert metrics.r2(a, b, w) == pytest.approx(peers.r2_score(a, b, sample_weight=w))
    assert metrics.mean_absolute_error(a, b) == pytest.approx(peers.mean_absolute_error(a, b))
    labels = RNG.integers(0, 2, (2, 20, 3))
    assert metrics.f1(*labels) == pytest.approx(peers.f1_score(*labels, average="macro"))
    assert metrics.accuracy(*labels) == pytest.approx(peers.accuracy_score(*labels))
