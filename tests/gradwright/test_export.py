"""Exported networks compute what ours compute."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from gradwright import MLP, kernels
from gradwright.export import ACTIVATIONS, from_safetensors, to_onnx, to_safetensors
from gradwright.sparse import largest

X = np.random.default_rng(0).normal(size=(7, 5)).astype(np.float32) * 2


def network(activation: str = "relu", **options: object) -> MLP:
    """A network whose running statistics and learned parameters are not the initial ones."""
    net = MLP([5, 6, 3], [activation, "softmax"], backend="numpy", **options)  # type: ignore[arg-type]
    rng = np.random.default_rng(1)
    for name, array in (net.parameters() | net.backend.state()).items():
        if name.endswith((".b", ".mean", ".beta", ".alpha", ".al", ".ar")):
            array[...] = rng.normal(size=array.shape)
        if name.endswith((".variance", ".gamma")):
            array[...] = rng.uniform(0.5, 2, array.shape)
    return net


def by_onnxruntime(path: Path, samples: np.ndarray) -> np.ndarray:
    runtime = pytest.importorskip("onnxruntime")
    session = runtime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"X": samples})[0])


def test_every_activation_has_a_form_in_onnx() -> None:
    assert set(kernels.known("activation")) - {"identity"} == set(ACTIVATIONS)


@pytest.mark.parametrize("activation", sorted(ACTIVATIONS))
def test_onnxruntime_computes_the_same_outputs(activation: str, tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    net = network(activation)
    to_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(
        by_onnxruntime(tmp_path / "net.onnx", X), net.outputs(X), rtol=2e-5, atol=1e-6
    )


@pytest.mark.parametrize("options", [{"batchnorm": True, "dropout": 0.5}, {"density": 0.4}])
def test_onnx_has_running_statistics_no_dropout_and_dense_weights(
    options: dict[str, object], tmp_path: Path
) -> None:
    pytest.importorskip("onnx")
    net = network(**options)
    to_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(
        by_onnxruntime(tmp_path / "net.onnx", X), net.outputs(X), rtol=2e-5, atol=1e-6
    )


def test_parameters_of_an_activation_are_exported(tmp_path: Path) -> None:
    pytest.importorskip("onnx")
    net = MLP([5, 6, 3], [("leaky_relu", {"alpha": 0.3}), "identity"], backend="numpy")
    to_onnx(net, tmp_path / "net.onnx")
    np.testing.assert_allclose(
        by_onnxruntime(tmp_path / "net.onnx", X), net.outputs(X), rtol=2e-5, atol=1e-6
    )


GIVEN = {"support": [largest(np.arange(30).reshape(6, 5), 0.3), None]}


@pytest.mark.parametrize("options", [{}, {"batchnorm": True}, {"density": 0.4}, GIVEN])
def test_safetensors_come_back_bit_for_bit(options: dict[str, object], tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    net = network(**options)
    to_safetensors(net, tmp_path / "net.safetensors")
    again = from_safetensors(tmp_path / "net.safetensors", "numpy")
    assert again.specification == net.specification
    np.testing.assert_array_equal(again.outputs(X), net.outputs(X))


def test_a_foreign_or_damaged_file_is_refused(tmp_path: Path) -> None:
    numpy_format = pytest.importorskip("safetensors.numpy")
    (tmp_path / "foreign").write_bytes(numpy_format.save({"a": np.ones(2)}))
    with pytest.raises(ValueError, match="no specification"):
        from_safetensors(tmp_path / "foreign")
    (tmp_path / "damaged").write_bytes(b"\x10" + bytes(30))
    with pytest.raises(ValueError, match="no safetensors file"):
        from_safetensors(tmp_path / "damaged")
