"""`gradwright train` and what uses its runs: results, files, exit status, and that nothing is ignored."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gradwright import MLP, load
from gradwright.cli import main
from gradwright.commands.options import TRAIN

BLOBS = ("--data", "blobs", "--layers", "2-8-3", "--epochs", "8", "--quiet", "--picture", "no")


@pytest.fixture(autouse=True)
def in_a_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def train(*options: str, out: str = "run") -> int:
    return main(["train", *BLOBS, "--out", out, *options])


def test_a_run_is_trained_evaluated_and_predicted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train("--learning-rate", "0.02") == 0
    files = {path.name for path in (tmp_path / "run").iterdir()}
    assert files == {"checkpoint", "config.toml", "data.json", "history.csv"}
    assert (tmp_path / "run/history.csv").read_text().count("\n") == 9
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["samples"] == 120
    assert found["accuracy"] > 0.95
    np.savez(tmp_path / "new.npz", X=np.array([[4.0, 0.0], [-2.0, 3.5]]))
    assert main(["predict", "run", "--data", "new.npz", "--no-label"]) == 0
    assert capsys.readouterr().out == "class\n0\n1\n"
    arguments = ["predict", "run", "--data", "new.npz", "--no-label", "--probabilities"]
    assert main([*arguments, "--out", "p.csv"]) == 0
    table = np.loadtxt(tmp_path / "p.csv", delimiter=",", skiprows=1)
    np.testing.assert_allclose(table.sum(axis=1), 1, rtol=1e-5)


def test_a_table_with_texts_is_trained_on_and_predicted_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    lines = ["height,width,kind"]
    for kind, mean in (("cat", 100.0), ("dog", 200.0)):
        lines += [f"{a},{b},{kind}" for a, b in rng.normal(mean, 10, (40, 2))]
    (tmp_path / "animals.csv").write_text("\n".join(lines) + "\n")
    arguments = ["train", "--data", "animals.csv", "--label", "kind", "--layers", "2-4-2"]
    more = ["--standardize", "--epochs", "30", "--learning-rate", "0.05", "--out", "run", "--quiet"]
    assert main([*arguments, *more, "--picture", "no"]) == 0
    capsys.readouterr()
    (tmp_path / "new.csv").write_text("height,width\n101,99\n198,205\n")
    assert main(["predict", "run", "--data", "new.csv", "--no-label"]) == 0
    assert capsys.readouterr().out == "class\ncat\ndog\n"
    (tmp_path / "other.csv").write_text("height,width,kind\n198,205,dog\n")
    assert main(["evaluate", "run", "--data", "other.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1
    (tmp_path / "other.csv").write_text("height,width,kind\n198,205,horse\n")
    assert main(["evaluate", "run", "--data", "other.csv"]) == 2
    assert "no class 'horse'" in capsys.readouterr().err


def test_a_regression_is_scored_by_r2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["train", "--data", "sine", "--layers", "1-16-1", "--activation", "tanh"]
    more = ["--epochs", "60", "--learning-rate", "0.02", "--out", "run", "--quiet"]
    assert main([*arguments, *more, "--picture", "no"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["r2"] > 0.9
    (tmp_path / "whole.csv").write_text("x,y\n0.0,0\n1.5707963,1\n-1.5707963,-1\n")
    assert main(["evaluate", "run", "--data", "whole.csv", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["r2"] > 0.9
    assert main(["predict", "run", "--data", "sine", "--no-label"]) == 2
    assert main(["predict", "run", "--data", "whole.csv"]) == 0
    assert capsys.readouterr().out.count("\n") == 4


def test_a_resumed_run_is_the_run_that_never_stopped(tmp_path: Path) -> None:
    assert train("--dropout", "0.2") == 0
    assert train("--dropout", "0.2", "--epochs", "5", out="half") == 0
    assert main(["resume", "half", "--epochs", "3", "--quiet"]) == 0
    whole, half = ((tmp_path / run / "history.csv").read_text() for run in ("run", "half"))
    assert whole == half


def test_the_config_of_a_run_repeats_it(tmp_path: Path) -> None:
    assert train("--optimizer", "adam:beta1=0.8", "--batch-size", "full", "--seed", "3") == 0
    assert main(["train", "--config", "run/config.toml", "--out", "again", "--quiet"]) == 0
    first, second = (tmp_path / run / "history.csv" for run in ("run", "again"))
    assert first.read_text() == second.read_text()


def test_every_option_can_stand_in_the_config_file(tmp_path: Path) -> None:
    given = {
        "text": "'{}'", "integer": "3", "number": "0.5", "flag": "true",
    }  # fmt: skip
    special = {
        "data": "blobs", "layers": "2-4-4-3", "activation": "relu,tanh", "loss": "cross_entropy",
        "output-activation": "softmax", "optimizer": "adam", "init": "he", "dtype": "float64",
        "backend": "numpy", "schedule": "cosine:steps=10", "out": "run", "picture": "no",
        "batch-size": "8", "metrics": "accuracy,f1", "density": "0.5,0.5,1",
        "support": "uniform,blocks:height=2:width=2,none",
    }  # fmt: skip
    left_out = ("label", "labels", "delimiter", "task")  # these are for files
    sections: dict[str, list[str]] = {}
    for option in TRAIN:
        if option.name in left_out:
            continue
        value = repr(special[option.name]) if option.name in special else given[option.kind]
        sections.setdefault(option.section, []).append(f"{option.name} = {value}")
    text = "\n".join(f"[{title}]\n" + "\n".join(lines) for title, lines in sections.items())
    (tmp_path / "all.toml").write_text(text)
    assert main(["train", "--config", "all.toml", "--quiet"]) == 0
    written = tomllib.loads((tmp_path / "run/config.toml").read_text())
    assert written["network"]["clip-norm"] == 0.5
    assert written["training"]["early-stopping"] == 3
    header = (tmp_path / "run/history.csv").read_text().partition("\n")[0]
    assert header.endswith("validation_accuracy,validation_f1")


SUPPORTS: dict[tuple[str, ...], tuple[Any, Any]] = {
    ("--density", "0.5"): (0.5, None),
    ("--density", "0.25,1"): ([0.25, 1.0], None),
    ("--density", "0.25", "--support", "uniform"): (0.25, "uniform"),
    ("--support", "uniform"): (1.0, "uniform"),
    ("--density", "0.5", "--support", "erdos_renyi"): (0.5, "erdos_renyi"),
    ("--density", "0.4", "--support", "erdos_renyi_kernel:kernels=1x2/none"): (
        0.4, ("erdos_renyi_kernel", {"kernels": [(1, 2), None]})),
    ("--support", "n_of_m:n=1:m=2"): (1.0, ("n_of_m", {"n": 1, "m": 2})),
    ("--density", "0.5,0.25", "--support", "none,blocks:height=3:width=2"): (
        [0.5, 0.25], [None, ("blocks", {"height": 3, "width": 2})]),
}  # fmt: skip


@pytest.mark.parametrize("options", SUPPORTS)
def test_a_sparse_run_has_the_weights_of_that_network(
    options: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    density, support = SUPPORTS[options]
    assert train(*options, "--epochs", "2") == 0
    wanted = MLP([2, 8, 3], ["relu", "softmax"], optimizer="adam", density=density, support=support)
    found = load(tmp_path / "run/checkpoint")
    assert found.specification.layers == wanted.specification.layers
    for name, array in wanted.parameters().items():
        if name.endswith(("indptr", "indices")):
            np.testing.assert_array_equal(found.parameters()[name], array)
    assert main(["train", "--config", "run/config.toml", "--out", "again", "--quiet"]) == 0
    assert main(["resume", "run", "--quiet"]) == 0
    assert main(["resume", "again", "--quiet"]) == 0
    first, second = ((tmp_path / run / "history.csv").read_text() for run in ("run", "again"))
    assert first == second
    sizes, activation = "2-8-3", ("--activation", "relu")
    capsys.readouterr()
    assert main(["explain", sizes, *activation, *options, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"]["H0"] == 2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--label", "y"), "option label does not apply"),
        (("--layers", "3-8-3"), "2 features, the network 3 inputs"),
        (("--layers", "2-8-4"), "3 classes, the network 4 outputs"),
        (("--layers", "2x8"), "widths joined by dashes"),
        (("--layers", "2-3", "--dropout", "0.5"), "--dropout is for hidden layers"),
        (("--activation", "relu,relu"), "2 names for 1 hidden layers"),
        (("--activation", "rleu"), "did you mean 'relu'"),
        (("--optimizer", "adam:beta3=1"), "beta3"),
        (("--min-delta", "0.1"), "--min-delta is for --early-stopping"),
        (("--batch-size", "0"), "expected a whole number >= 1"),
        (("--batch-size", "many"), "expected a whole number or full"),
        (("--support", "unifrom"), "layer 1: unknown support 'unifrom'; did you mean 'uniform'"),
        (("--support", "n_of_m:n=1:m=3"), "layer 1: expected a number of columns that is a multiple"),
        (("--support", "n_of_m:n=1.5:m=2"), "layer 1: n and m: expected two whole numbers"),
        (("--support", "n_of_m:n=1:m=2", "--density", "0.3"), "density 0.5, but density is 0.3"),
        (("--support", "none,uniform,none"), "expected 2 supports, one a layer, got 3"),
        (("--support", "erdos_renyi", "--density", "0.5,0.2"), "give the network's alone"),
        (("--support", "erdos_renyi_kernel"), "has the parameter kernels"),
        (("--support", "erdos_renyi_kernel:kernels=3"), "expected kernels=HEIGHTxWIDTH/none/..."),
        (("--support", "Uniform"), "--support: expected NAME or NAME:KEY=NUMBER"),
        (("--support", "given"), "layer 1: give the support itself"),
        (("--density", "0.1,0.2,0.3"), "expected 2 values of density, got 3"),
        (("--density", "0.1,some"), "--density: expected a number, got 'some'"),
        (("--density", "some"), "expected a number, or one a layer with commas between them"),
        (("--density", "0.5,1.5"), "layer 2: density in [0, 1], got 1.5"),
        (("--dtype", "float16"), "unknown value 'float16'; did you mean float64"),
        (("--learning-rate", "nan"), "expected a number"),
        (("--test", "1.5"), "expected a share in"),
        (("--data", "blops"), "did you mean blobs"),
        (("--loss", "half_squared_error", "--label-smoothing", "0.1"), "label_smoothing"),
        (("--schedule", "cosin"), "cosine"),
        (("--metrics", "acuracy"), "accuracy"),
        (("--config", "missing.toml"), "No such file"),
    ],
)
def test_what_cannot_be_done_is_one_message_and_writes_nothing(
    options: tuple[str, ...], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train(*options) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.startswith("error: ")
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[network]\ndropuot = 0.5\n", "did you mean dropout"),
        ("[netwrk]\ndropout = 0.5\n", "did you mean network"),
        ("dropout = 0.5\n", "unknown table 'dropout'"),
        ("[network]\ndropout = 'a lot'\n", "expected a number"),
        ("[network]\nbatchnorm = 1\n", "expected true or false"),
        ("[training]\nepochs = 1.5\n", "expected a whole number"),
        ("[network\n", "is no TOML"),
    ],
)
def test_a_config_that_is_wrong_is_refused(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "config.toml").write_text(text)
    assert train("--config", "config.toml") == 2
    assert message in capsys.readouterr().err


def test_a_run_is_not_written_over_without_force(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    before = (tmp_path / "run/checkpoint").read_bytes()
    assert train("--seed", "1") == 2
    assert "--force" in capsys.readouterr().err
    assert (tmp_path / "run/checkpoint").read_bytes() == before
    assert train("--schedule", "cosin", "--force") == 2
    assert (tmp_path / "run/checkpoint").read_bytes() == before
    assert train("--seed", "1", "--force") == 0
    assert (tmp_path / "run/checkpoint").read_bytes() != before


def test_a_diverging_training_has_status_one_and_names_the_layer(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert train("--learning-rate", "1e30", "--optimizer", "gradient_descent") == 1
    assert "layer" in capsys.readouterr().err


def test_an_interrupted_run_has_status_130_and_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from gradwright.training.loop import Run

    assert train(out="whole") == 0
    finish = Run._finish_epoch
    calls = []

    def interrupted(self: Run) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt
        finish(self)

    with monkeypatch.context() as patch:
        patch.setattr(Run, "_finish_epoch", interrupted)
        assert train() == 130
    assert "gradwright resume run" in capsys.readouterr().err
    assert main(["resume", "run", "--epochs", "3"]) == 2
    assert main(["resume", "run", "--quiet"]) == 0
    whole, resumed = ((tmp_path / run / "history.csv").read_text() for run in ("whole", "run"))
    assert whole == resumed


def test_control_c_keeps_what_was_trained(tmp_path: Path) -> None:
    arguments = [*BLOBS[:4], "--epochs", "100000", "--out", "run", "--picture", "no"]
    command = [sys.executable, "-m", "gradwright", "train", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline().startswith("epoch 1/100000")
        process.send_signal(signal.SIGINT)
        _, error = process.communicate(timeout=30)
    assert process.returncode == 130, error
    assert error.startswith("error: interrupted; `gradwright resume run`")
    assert (tmp_path / "run/history.csv").read_text().count("\n") >= 2


@pytest.mark.parametrize("module", ["numpy", "sympy", "gradwright.network"])
def test_help_does_not_load(module: str) -> None:
    program = f"import sys; from gradwright.cli import parser; parser(); sys.exit({module!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("command", ["evaluate", "resume"])
def test_a_folder_without_a_run_is_refused(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([command, "nothing"]) == 2
    assert "is no run folder" in capsys.readouterr().err


def test_a_damaged_checkpoint_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert train() == 0
    path = tmp_path / "run/checkpoint"
    path.write_bytes(path.read_bytes()[:-100])
    assert main(["evaluate", "run"]) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_images_of_mnist_are_trained_on_and_their_test_part_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "mnist").mkdir()
    rng = np.random.default_rng(0)
    for part, count in (("train", 60), ("t10k", 20)):
        labels = (np.arange(count) % 10).astype(np.uint8)
        images = rng.integers(0, 20, (count, 4, 4), dtype=np.uint8)
        images.reshape(count, 16)[np.arange(count), labels] = 255
        head = bytes([0, 0, 8, 3]) + np.array([count, 4, 4], ">u4").tobytes()
        (tmp_path / f"mnist/{part}-images-idx3-ubyte").write_bytes(head + images.tobytes())
        head = bytes([0, 0, 8, 1]) + np.array([count], ">u4").tobytes()
        (tmp_path / f"mnist/{part}-labels-idx1-ubyte").write_bytes(head + labels.tobytes())
    arguments = ["train", "--data", "mnist", "--layers", "16-10", "--epochs", "40", "--quiet"]
    more = ["--learning-rate", "0.05", "--out", "run", "--picture", "no"]
    assert main([*arguments, *more, "--test", "0.5"]) == 2
    assert "test part of its own" in capsys.readouterr().err
    assert main([*arguments, *more]) == 0
    assert "on 20 held-out samples" in capsys.readouterr().out
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] == 1


def test_images_of_cifar10_are_trained_on_and_a_file_cut_short_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "cifar").mkdir()
    rng = np.random.default_rng(0)
    for name in (*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"):
        records = rng.integers(0, 256, (20, 3073), dtype=np.uint8)
        records[:, 0] = np.arange(20) % 10
        records[np.arange(20), 1 + 300 * (np.arange(20) % 10)] = 255
        (tmp_path / f"cifar/{name}.bin").write_bytes(records.tobytes())
    arguments = ["train", "--data", "cifar", "--layers", "3072-10", "--epochs", "2", "--quiet"]
    assert main([*arguments, "--out", "run", "--picture", "no"]) == 0
    assert "on 20 held-out samples" in capsys.readouterr().out
    (tmp_path / "cifar/data_batch_3.bin").write_bytes(bytes(3000))
    assert main([*arguments, "--out", "other"]) == 2
    assert "data_batch_3.bin: 3000 bytes" in capsys.readouterr().err
    assert not (tmp_path / "other").exists()


def test_the_loss_curve_is_a_picture(tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    assert train("--picture", "yes") == 0
    assert (tmp_path / "run/loss.png").read_bytes().startswith(b"\x89PNG")


def test_explain_prints_the_algorithm_and_its_memory(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "784-256-128-10", "--batch", "64"]) == 0
    text = capsys.readouterr().out
    for expected in ("75,392", "25,216", "234,752", "394", "DZ1 = relu'(Z1) * DA1", "m_hat ="):
        assert expected in text
    assert main(["explain", "784-256-128-10", "--batch", "64", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["sizes"]["N"] == 64


def test_explain_counts_the_memory_of_the_engine(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", "4-3-2", "--backend", "cpp"]) == 0
    text = capsys.readouterr().out
    assert "one of each parameter but dense weights" in text
    assert "workspace: a block of a gradient" in text


@pytest.mark.parametrize("options", [(), ("--batchnorm", "--activation", "gelu")])
def test_explain_proves_a_network(
    options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["explain", "4-3-5-3-2", "--prove", *options]) == 0
    assert "gradients of the whole network" in capsys.readouterr().out


def test_several_targets_of_a_table_are_trained_on_and_predicted_by_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rng = np.random.default_rng(0)
    rows = [f"{a},{b},{a - b},{a + b}" for a, b in rng.normal(size=(60, 2))]
    (tmp_path / "sums.csv").write_text("\n".join(["a,b,less,more", *rows]) + "\n")
    more = ["--epochs", "40", "--learning-rate", "0.05", "--quiet", "--picture", "no"]
    arguments = ["train", "--data", "sums.csv", "--label", "more,less", "--layers", "2-8-2", *more]
    assert main([*arguments, "--out", "run"]) == 0
    assert "R^2" in capsys.readouterr().out
    (tmp_path / "new.csv").write_text("a,b\n1,0.5\n")
    assert main(["predict", "run", "--data", "new.csv", "--no-label"]) == 0
    names, values = capsys.readouterr().out.split()
    assert names == "more,less"
    np.testing.assert_allclose([float(v) for v in values.split(",")], [1.5, 0.5], atol=0.3)
    assert main(["train", "--data", "sums.csv", "--labels", "2", "--layers", "2-8-3", *more,
                 "--out", "other"]) == 2  # fmt: skip
    assert "2 targets, the network 3 outputs" in capsys.readouterr().err


def test_several_labels_of_a_table_are_trained_on_and_evaluated(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    points = np.random.default_rng(0).normal(size=(80, 2))
    rows = [f"{a},{b},{int(a > 0)},{int(b > 0)}" for a, b in points]
    (tmp_path / "signs.csv").write_text("\n".join(["a,b,right,up", *rows]) + "\n")
    more = ["--epochs", "60", "--learning-rate", "0.05", "--quiet", "--picture", "no"]
    arguments = ["train", "--data", "signs.csv", "--labels", "2", "--layers", "2-8-2", *more]
    assert main([*arguments, "--out", "run"]) == 0
    capsys.readouterr()
    assert main(["evaluate", "run", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["accuracy"] > 0.7
    (tmp_path / "new.csv").write_text("a,b\n2,-2\n")
    assert main(["predict", "run", "--data", "new.csv", "--no-label"]) == 0
    assert capsys.readouterr().out == "right,up\n1,0\n"
    assert main(["predict", "run", "--data", "new.csv", "--no-label", "--probabilities"]) == 0
    assert float(capsys.readouterr().out.split()[1].split(",")[0]) > 0.5


@pytest.mark.parametrize("options", [("--batch", "0"), ("--activation", "rleu"), ("--dtype", "int")])
def test_explain_refuses_what_it_cannot_explain(options: tuple[str, ...]) -> None:
    assert main(["explain", "4-3-2", *options]) == 2
