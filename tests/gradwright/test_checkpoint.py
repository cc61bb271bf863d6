"""Checkpoints: a resumed training has the same bits; damaged and foreign files are refused."""

import hashlib
import io
import json
import os
import pickle
import zipfile

import numpy as np
import pytest

import gradwright
from gradwright import MLP, CheckpointError, checkpoint, kernels
from gradwright.sparse import Rewiring

RNG = np.random.default_rng(0)
X, Y = RNG.normal(size=(22, 5)), RNG.integers(0, 3, 22)
OPTIMIZERS = kernels.known("optimizer")
FIT = {
    "epochs": 3, "batch_size": 8, "verbose": False, "patience": 2, "validation_split": 0.2,
    "learning_rate": ("cosine", {"learning_rate": 0.02}), "metrics": ["accuracy"],
}  # fmt: skip
STEPS = 9  # 18 samples in batches of 8, three epochs


def build(optimizer="adam", backend="numpy"):
    return MLP(
        [5, 6, 4, 3], ["relu", "tanh", "softmax"], optimizer=optimizer, batchnorm=[True, False],
        dropout=0.25, weight_decay=1e-3, clip_norm=1.0, backend=backend, seed=3,
    )  # fmt: skip


def everything(net):
    return net.parameters() | net.backend.state()


def assert_same_bits(one, other):
    assert one.history.to_json() == other.history.to_json()
    for name, array in everything(one).items():
        np.testing.assert_array_equal(array, everything(other)[name], err_msg=name)


def interrupted(net, after):
    """Train until Ctrl-C comes behind this many steps."""

    class Interrupt:
        left = after

        def on_batch_end(self, _net):
            self.left -= 1
            if self.left == 0:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=[Interrupt()], **FIT)
    return net


@pytest.fixture
def saved(tmp_path):
    net = build()
    net.fit(X, Y, **FIT)
    net.save(tmp_path / "net.gw")
    return net, tmp_path / "net.gw"


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_resume_has_the_same_bits_for_every_optimizer(optimizer, tmp_path):
    whole = build(optimizer)
    whole.fit(X, Y, **FIT)
    for after in (1, 5):
        interrupted(build(optimizer), after).save(tmp_path / "part.gw")
        net = gradwright.load(tmp_path / "part.gw", backend="numpy")
        net.resume(X, Y, verbose=False)
        assert_same_bits(net, whole)


@pytest.mark.parametrize("after", range(1, STEPS + 1))
def test_resume_has_the_same_bits_at_every_step(after, tmp_path):
    whole = build(backend="cpp")
    whole.fit(X, Y, **FIT)
    interrupted(build(backend="cpp"), after).save(tmp_path / "part.gw")
    net = gradwright.load(tmp_path / "part.gw")
    assert net.progress.unfinished
    net.resume(X, Y, verbose=False)
    assert_same_bits(net, whole)


def test_ctrl_c_leaves_a_checkpoint_of_the_last_step(tmp_path):
    net = build()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=[RaiseAt(4)], checkpoint=str(tmp_path / "last.gw"), **FIT)
    loaded = gradwright.load(tmp_path / "last.gw", backend="numpy")
    assert int(loaded.backend.state()["step"][0]) == 4
    assert loaded.history.stopped == "interrupted in epoch 2"


class RaiseAt:
    def __init__(self, step):
        self.step = step

    def on_batch_end(self, net):
        if int(net.backend.state()["step"][0]) == self.step:
            raise KeyboardInterrupt


def test_a_loaded_network_predicts_the_same(saved):
    net, path = saved
    loaded = gradwright.load(path, backend="numpy")
    assert loaded.specification == net.specification
    np.testing.assert_array_equal(loaded.outputs(X), net.outputs(X))


def test_the_same_network_gives_the_same_file(saved, tmp_path):
    net, path = saved
    net.save(tmp_path / "again.gw")
    assert (tmp_path / "again.gw").read_bytes() == path.read_bytes()


def test_nothing_to_resume_is_said(saved):
    with pytest.raises(ValueError, match="nothing to resume: 3 of 3"):
        saved[0].resume(X, Y)


def test_a_schedule_that_was_a_function_has_to_be_given_again(tmp_path):
    options = FIT | {"learning_rate": lambda step: 0.01 / (1 + step)}
    whole = build()
    whole.fit(X, Y, **options)
    net = build()
    with pytest.raises(KeyboardInterrupt):
        net.fit(X, Y, callbacks=[RaiseAt(4)], **options)
    net.save(tmp_path / "net.gw")
    loaded = gradwright.load(tmp_path / "net.gw", backend="numpy")
    with pytest.raises(ValueError, match="give it again as learning_rate"):
        loaded.resume(X, Y, verbose=False)
    loaded.resume(X, Y, learning_rate=options["learning_rate"], verbose=False)
    assert_same_bits(loaded, whole)


def test_every_flipped_byte_is_noticed_or_harmless(saved, tmp_path):
    net, path = saved
    data = path.read_bytes()
    for place in np.random.default_rng(1).integers(0, len(data), 60):
        broken = bytearray(data)
        broken[place] ^= 0x41
        (tmp_path / "broken.gw").write_bytes(broken)
        try:
            loaded = gradwright.load(tmp_path / "broken.gw", backend="numpy")
        except CheckpointError:
            continue
        assert_same_bits(loaded, net)  # a date or an attribute in the archive's directory


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_a_file_cut_short_is_refused(saved, share):
    _, path = saved
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(CheckpointError, match="no checkpoint, or damaged or cut short"):
        gradwright.load(path)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return os.mkdir, (str(tmp_path / "ran"),)

    path = tmp_path / "evil.gw"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(CheckpointError):
        gradwright.load(path)
    assert not (tmp_path / "ran").exists()


def rewritten(path, change, compress=zipfile.ZIP_STORED):
    """The checkpoint with changed members, under checksums that fit."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    header = json.loads(members["header.json"])
    change(header, members)
    for name, entry in header.get("arrays", {}).items():
        if name in members:
            entry["sha256"] = hashlib.sha256(members[name]).hexdigest()
    members["header.json"] = json.dumps(header).encode()
    members["header.sha256"] = hashlib.sha256(members["header.json"]).hexdigest().encode()
    with zipfile.ZipFile(path, "w", compress) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return path


def npy(array):
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def objects():
    file = io.BytesIO()
    np.save(file, np.array([{}], object), allow_pickle=True)
    return file.getvalue()


def huge():
    """An array whose header claims 2^50 numbers."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        file, {"descr": "<f4", "fortran_order": False, "shape": (2**50,)}
    )
    return file.getvalue()


CHANGES = {
    "another version": (lambda h, _: h.update(version=2), "its version is 2"),
    "another format": (lambda h, _: h.update(format="x"), "no Gradwright checkpoint"),
    "a missing array": (lambda _, m: m.pop("parameters/layer1.b.npy"), "layer1.b.npy is missing"),
    "a foreign member": (lambda _, m: m.update({"a/b.npy": b""}), "does not belong"),
    "another shape": (
        lambda _, m: m.update({"parameters/layer1.b.npy": npy(np.zeros(7, np.float32))}),
        "layer1.b of shape",
    ),
    "pickled objects": (
        lambda _, m: m.update({"parameters/layer1.b.npy": objects()}), "its dtype is object"
    ),
    "a huge array": (
        lambda _, m: m.update({"parameters/layer1.b.npy": huge()}), "not as long as its header"
    ),
    "another dtype of a state": (
        lambda _, m: m.update({"state/step.npy": npy(np.zeros(1))}), "state/step is float64"
    ),
    "an unknown activation": (
        lambda h, _: h["specification"]["layers"][0].update(activation="rlu"), "unknown activation"
    ),
    "a huge network": (
        lambda h, _: h["specification"]["layers"][0].update(inputs=2**30), "expected layer1.W"
    ),
    "no progress": (lambda h, _: h.pop("progress"), "the header does not fit"),
    "a time that is none": (lambda h, _: h["progress"].update(epoch="x"), "epoch is 'x', expected a"),
    "a time before all": (lambda h, _: h["progress"].update(epoch_step=-1), "epoch_step is -1"),
    "a time to come": (lambda h, _: h["progress"].update(epoch_step=10**6), "1000000, after step"),
    "a loss that is none": (lambda h, _: h["progress"].update(best_loss="x"), "best_loss is str"),
    "options that are none": (lambda h, _: h["progress"].update(options=3), "does not fit"),
    "options without a rate": (lambda h, _: h["progress"].update(options={}), "learning_rate"),
    "losses without weights": (
        lambda _, m: m.update({"progress/losses.npy": npy(np.zeros(99))}), r"\(99,\) losses"
    ),
    "a foreign entry": (lambda h, _: h["specification"].update(os="rm"), "unknown entry 'os'"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_a_file_that_does_not_fit_together_is_refused(saved, what):
    change, message = CHANGES[what]
    with pytest.raises(CheckpointError, match=message):
        gradwright.load(rewritten(saved[1], change), backend="numpy")


def test_a_step_before_the_losses_of_its_epoch_is_refused(tmp_path):
    interrupted(build(), 5).save(tmp_path / "part.gw")
    back = {"state/step.npy": npy(np.array([4]))}
    path = rewritten(tmp_path / "part.gw", lambda _, m: m.update(back))
    with pytest.raises(CheckpointError, match="2 losses since step 3, but it is at step 4"):
        gradwright.load(path, backend="numpy")


@pytest.mark.parametrize("after", [2, 3])
def test_a_fit_is_not_resumed_behind_steps_made_by_hand(after, tmp_path):
    net = interrupted(build(), after)
    for _ in range(3):
        net.forward(X)
        net.backward(Y)
        net.update(0.01)
    net.save(tmp_path / "part.gw")
    for found in (net, gradwright.load(tmp_path / "part.gw", backend="numpy")):
        with pytest.raises(ValueError, match="3 steps since the fit was interrupted; train on with"):
            found.resume(X, Y, verbose=False)
        found.fit(X, Y, **FIT)


PATTERNS = {
    "a column out of range": ("indices", 3, 7, "row"),
    "a negative column": ("indices", 3, -1, "row"),
    "a duplicate": ("indices", 1, 0, "row 0"),
    "row starts that fall": ("indptr", 1, 9999, "row"),
}


@pytest.mark.parametrize("what", PATTERNS)
def test_a_pattern_that_would_lead_outside_memory_is_refused(what, tmp_path):
    member, place, value, message = PATTERNS[what]
    net = MLP([7, 6, 2], ["relu", "softmax"], density=0.5, backend="numpy")
    net.save(tmp_path / "sparse.gw")

    def change(_header, members):
        name = f"parameters/layer1.W.{member}"
        array = net.parameters()[name.removeprefix("parameters/")].copy()
        array[place] = value if what != "a duplicate" else array[0]
        members[f"{name}.npy"] = npy(array)

    with pytest.raises(CheckpointError, match=message):
        gradwright.load(rewritten(tmp_path / "sparse.gw", change), backend="numpy")


def test_watched_places_without_their_factor_are_refused(tmp_path):
    net = MLP([7, 2], ["softmax"], density=0.5)
    net.fit(np.ones((4, 7)), [0, 1, 0, 1], epochs=1, verbose=False, callbacks=[Rewiring(grow="momentum")])
    net.save(tmp_path / "net.gw")

    def change(_header, members):
        members["state/layer1.W.watched.beta.npy"] = npy(np.zeros(0))

    with pytest.raises(CheckpointError, match="does not fit"):
        gradwright.load(rewritten(tmp_path / "net.gw", change))


def test_compressed_members_are_refused_so_that_no_file_unfolds(saved):
    def bomb(_header, members):
        members["parameters/layer1.b.npy"] = bytes(10**7)

    path = rewritten(saved[1], bomb, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match="compressed"):
        gradwright.load(path)


def test_a_foreign_archive_is_refused(tmp_path):
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("hello.txt", "hello")
    with pytest.raises(CheckpointError, match="no Gradwright checkpoint"):
        gradwright.load(tmp_path / "x.zip")


def test_a_missing_file_is_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        gradwright.load(tmp_path / "none.gw")


@pytest.mark.parametrize("broken", ["fsync", "replace"])
def test_a_failed_save_leaves_the_previous_file(saved, monkeypatch, broken):
    net, path = saved
    before = path.read_bytes()

    def full(*_arguments, **_options):
        raise OSError(28, "No space left on device")

    net.fit(X, Y, **FIT)
    monkeypatch.setattr(os, broken, full)
    with pytest.raises(OSError, match="No space left"):
        net.save(path)
    assert path.read_bytes() == before
    assert os.listdir(path.parent) == [path.name]


def test_a_kill_while_saving_leaves_the_previous_file(saved):
    """The process ends without any clean-up in the middle of the second save."""
    _, path = saved
    before = path.read_bytes()
    child = os.fork()
    if child == 0:  # pragma: no cover
        os.fsync = lambda _handle: os._exit(9)
        checkpoint.save(build(), path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    assert path.read_bytes() == before
