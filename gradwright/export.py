"""Networks for other programs: weights as safetensors, the network as ONNX.

Inference only: dropout is left out, batch normalisation uses its running statistics. Needs the
extras `safetensors` or `onnx`: pip install 'gradwright[onnx]'.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwright.backends import BATCHNORM_EPSILON
from gradwright.files import write_atomically

if TYPE_CHECKING:
    from gradwright.network import MLP

Array = np.ndarray[Any, np.dtype[Any]]
OPSET = 20  # the first one with Gelu
_FORMAT_VERSION = 9  # of the file: the one that came with this operator set
_SPECIFICATION = "gradwright.specification"


def arrays_of(net: MLP) -> dict[str, Array]:
    """What inference needs: parameters, and running statistics where a layer is normalised."""
    statistics = {
        name: array
        for name, array in net.backend.state().items()
        if name.count(".") == 1 and name.endswith((".mean", ".variance"))
    }
    return {name: np.ascontiguousarray(a) for name, a in (net.parameters() | statistics).items()}


# ---- Safetensors ---------------------------------------------------------------------------------


def to_safetensors(net: MLP, path: str | PathLike[str]) -> None:
    """Write parameters and running statistics, and the specification as metadata."""
    from safetensors.numpy import save

    metadata = {_SPECIFICATION: json.dumps(net.specification.to_json())}
    write_atomically(Path(path), save(arrays_of(net), metadata))


def from_safetensors(path: str | PathLike[str], backend: str = "cpp") -> MLP:
    """The network that `to_safetensors` wrote. ValueError for a file of another origin."""
    from safetensors import SafetensorError, safe_open

    from gradwright.layer import shapes
    from gradwright.network import MLP
    from gradwright.specification import Specification

    try:
        with safe_open(path, "numpy") as file:
            metadata = file.metadata() or {}
            arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except SafetensorError as error:
        raise ValueError(f"{path}: is no safetensors file: {error}") from None
    if _SPECIFICATION not in metadata:
        raise ValueError(f"{path}: was not written by gradwright: it has no specification")
    specification = Specification.from_json(json.loads(metadata[_SPECIFICATION]))
    parameters = {name: arrays[name] for name in shapes(specification) if name in arrays}
    net = MLP.from_specification(specification, backend, parameters)
    for name, array in net.backend.state().items():
        if name in arrays:
            array[...] = arrays[name]
    return net


# ---- ONNX ----------------------------------------------------------------------------------------


class _Graph:
    """Nodes and constants of a graph, each with a name."""

    def __init__(self, dtype: str) -> None:
        from onnx import helper

        self.helper, self.dtype = helper, np.dtype(dtype)
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def add(self, kind: str, inputs: list[str], output: str, **attributes: Any) -> str:
        self.nodes.append(self.helper.make_node(kind, inputs, [output], output, **attributes))
        return output

    def constant(self, name: str, value: Any) -> str:
        from onnx import numpy_helper

        array = np.ascontiguousarray(value, self.dtype)
        self.constants.append(numpy_helper.from_array(array, name))
        return name


def to_onnx(net: MLP, path: str | PathLike[str]) -> None:
    """Write the network as ONNX: input `X` (N, n_in), output `Y` (N, n_out), N free.

    ValueError for an activation that has no form in ONNX.
    """
    import onnx

    specification, arrays = net.specification, arrays_of(net)
    graph = _Graph(specification.dtype)
    value = "X"
    for number, layer in enumerate(specification.layers, start=1):
        value = _layer(graph, number, layer, value, arrays)
    graph.add("Identity", [value], "Y")
    kind = graph.helper.np_dtype_to_tensor_dtype(graph.dtype)
    sizes = specification.sizes
    made = graph.helper.make_graph(
        graph.nodes, "gradwright",
        [graph.helper.make_tensor_value_info("X", kind, ["N", sizes[0]])],
        [graph.helper.make_tensor_value_info("Y", kind, ["N", sizes[-1]])],
        graph.constants,
    )  # fmt: skip
    model = graph.helper.make_model(
        made, producer_name="gradwright", ir_version=_FORMAT_VERSION,
        opset_imports=[graph.helper.make_opsetid("", OPSET)],
    )  # fmt: skip
    onnx.checker.check_model(model, full_check=True)
    write_atomically(Path(path), model.SerializeToString())


def _layer(
    graph: _Graph, number: int, layer: Any, value: str, arrays: Mapping[str, Array]
) -> str:
    def constant(name: str) -> str:
        return graph.constant(f"layer{number}.{name}", arrays[f"layer{number}.{name}"])

    weights = graph.constant(f"layer{number}.W", _dense(layer, number, arrays))
    value = graph.add("Gemm", [value, weights, constant("b")], f"Z{number}", transB=1)
    if layer.batchnorm:
        inputs = [value, *(constant(name) for name in ("gamma", "beta", "mean", "variance"))]
        value = graph.add("BatchNormalization", inputs, f"B{number}", epsilon=BATCHNORM_EPSILON)
    if layer.activation == "identity":
        return value
    if layer.activation not in ACTIVATIONS:
        raise ValueError(f"layer {number}: {layer.activation} has no form in ONNX")
    learned = {
        name.partition(".")[2]: array
        for name, array in arrays.items()
        if name.startswith(f"layer{number}.")
    }
    given = _defaults(layer.activation) | dict(layer.parameters)
    return ACTIVATIONS[layer.activation](graph, value, f"A{number}", given | learned)


def _defaults(name: str) -> dict[str, float]:
    from gradwright import kernels

    return dict(kernels.activation(name).hyperparameters)


def _dense(layer: Any, number: int, arrays: Mapping[str, Array]) -> Array:
    if not layer.sparse:
        return arrays[f"layer{number}.W"]
    values, indices, indptr = (
        arrays[f"layer{number}.W.{part}"] for part in ("values", "indices", "indptr")
    )
    W = np.zeros((layer.outputs, layer.inputs), values.dtype)
    W[np.repeat(np.arange(layer.outputs), np.diff(indptr)), indices] = values
    return W


# Each writes the nodes from the value x to the value named y; p holds parameters.
Writer = Callable[[_Graph, str, str, Mapping[str, Any]], str]


def _plain(kind: str, **fixed: Any) -> Writer:
    def write(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
        del p
        return graph.add(kind, [x], y, **fixed)

    return write


def _with_alpha(kind: str) -> Writer:
    def write(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
        return graph.add(kind, [x], y, alpha=float(p["alpha"]))

    return write


def _trelu(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    below = graph.add("Less", [x, graph.constant(f"{y}.epsilon", p["epsilon"])], f"{y}.below")
    return graph.add("Where", [below, graph.constant(f"{y}.zero", 0), x], y)


def _hard_tanh(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    del p
    ends = [graph.constant(f"{y}.low", -1), graph.constant(f"{y}.high", 1)]
    return graph.add("Clip", [x, *ends], y)


def _log_sigmoid(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    del p
    negated = graph.add("Neg", [x], f"{y}.negated")
    return graph.add("Neg", [graph.add("Softplus", [negated], f"{y}.softplus")], y)


def _silu(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    del p
    return graph.add("Mul", [x, graph.add("Sigmoid", [x], f"{y}.sigmoid")], y)


def _prelu(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    return graph.add("PRelu", [x, graph.constant(f"{y}.alpha", p["alpha"])], y)


def _srelu(graph: _Graph, x: str, y: str, p: Mapping[str, Any]) -> str:
    """tl + al (x - tl) up to tl, tr + ar (x - tr) from tr on, x between."""

    def line(side: str) -> tuple[str, str]:
        at = graph.constant(f"{y}.t_{side}", p[f"t{side}"])
        slope = graph.constant(f"{y}.a_{side}", p[f"a{side}"])
        away = graph.add("Sub", [x, at], f"{y}.away_{side}")
        scaled = graph.add("Mul", [slope, away], f"{y}.scaled_{side}")
        return at, graph.add("Add", [at, scaled], f"{y}.line_{side}")

    left, left_line = line("l")
    right, right_line = line("r")
    below = graph.add("LessOrEqual", [x, left], f"{y}.below")
    above = graph.add("GreaterOrEqual", [x, right], f"{y}.above")
    upper = graph.add("Where", [above, right_line, x], f"{y}.upper")
    return graph.add("Where", [below, left_line, upper], y)


ACTIVATIONS: Mapping[str, Writer] = {
    "all_relu": _with_alpha("LeakyRelu"),
    "elu": _with_alpha("Elu"),
    "gelu": _plain("Gelu"),
    "gelu_tanh": _plain("Gelu", approximate="tanh"),
    "hard_sigmoid": _plain("HardSigmoid", alpha=1 / 6, beta=0.5),
    "hard_swish": _plain("HardSwish"),
    "hard_tanh": _hard_tanh,
    "leaky_relu": _with_alpha("LeakyRelu"),
    "log_sigmoid": _log_sigmoid,
    "log_softmax": _plain("LogSoftmax", axis=1),
    "mish": _plain("Mish"),
    "prelu": _prelu,
    "relu": _plain("Relu"),
    "selu": _plain("Selu"),
    "sigmoid": _plain("Sigmoid"),
    "silu": _silu,
    "softmax": _plain("Softmax", axis=1),
    "softplus": _plain("Softplus"),
    "softsign": _plain("Softsign"),
    "srelu": _srelu,
    "tanh": _plain("Tanh"),
    "trelu": _trelu,
}
