"""A network as the sequence of kernels it is composed of, with names and sizes for every value.

Sizes are N, the samples of a batch, and H0, H1, ..., the widths. Layer l has W (H_l x H_l-1) and b;
Z_l is its pre-activation, A_l its activation. Both what `gradwright explain` prints and what
derives whole networks start here, so that they speak of the same network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gradwright.kernels import LEARNED

if TYPE_CHECKING:
    from gradwright.specification import LayerSpecification, Specification


@dataclass(frozen=True)
class Value:
    """An array: its name, its shape over N, H0, H1, ... and "1", and what it is.

    `kind`: "data", "target", "parameter", "mask", "pattern" (of a sparse layer) or "value".
    """

    name: str
    shape: tuple[str, str]
    kind: str = "value"


@dataclass(frozen=True)
class Part:
    """One kernel of the network: its arrays in the order of its face, and its hyperparameters."""

    kernel: str
    layer: int
    inputs: tuple[Value, ...]
    output: Value
    hyperparameters: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Composition:
    """The parts in the order of the forward pass; the loss is the last one."""

    parts: tuple[Part, ...]
    sizes: Mapping[str, int]

    @property
    def loss(self) -> Part:
        return self.parts[-1]

    @property
    def inputs(self) -> tuple[Value, ...]:
        """What is given, each once: data, parameters by layer, masks, targets."""
        given = (v for part in self.parts for v in part.inputs if v.kind != "value")
        return tuple(dict.fromkeys(given))

    @property
    def names(self) -> frozenset[str]:
        """Of everything given and of every output."""
        return frozenset(v.name for part in self.parts for v in (*part.inputs, part.output))

    @property
    def parameters(self) -> tuple[Value, ...]:
        return tuple(value for value in self.inputs if value.kind == "parameter")


def compose(specification: Specification) -> Composition:
    """The kernels that training runs: dropout with its mask, batch statistics, the loss.

    Where the loss takes logits, the output activation is left to it.
    """
    parts = tuple(_parts(specification))
    sizes = {f"H{i}": size for i, size in enumerate(specification.sizes)}
    return Composition(parts, sizes)


def _parts(specification: Specification) -> Iterator[Part]:
    value = Value("X", ("N", "H0"), "data")
    count = len(specification.layers)
    for number, layer in enumerate(specification.layers, start=1):
        logits = number == count and specification.loss_on_logits
        for part in _layer(number, layer, value, logits):
            yield part
            value = part.output
    target = Value("T", ("N", f"H{count}"), "target")
    yield Part(
        specification.loss_kernel, count, (value, target), Value("L", ("1", "1")),
        specification.loss_parameters,
    )  # fmt: skip


def _layer(
    number: int, layer: LayerSpecification, value: Value, logits: bool
) -> Iterator[Part]:
    shape = ("N", f"H{number}")

    def parameter(name: str, rows: str = "1", columns: str = f"H{number}") -> Value:
        return Value(f"{name}{number}", (rows, columns), "parameter")

    weights = parameter("W", f"H{number}", f"H{number - 1}")
    output = Value(f"Z{number}", shape)
    given: tuple[Value, ...] = (value, weights, parameter("b"))
    if layer.sparse:
        given = (*given, Value(f"M{number}", weights.shape, "pattern"))
    yield Part("masked_linear" if layer.sparse else "linear", number, given, output)
    if layer.batchnorm:
        given = (output, parameter("gamma"), parameter("beta"))
        output = Value(f"B{number}", shape)
        yield Part("batchnorm", number, given, output)
    if layer.activation != "identity" and not logits:
        learned = LEARNED.get(layer.activation, {})
        columns = f"H{number}" if layer.activation == "prelu" else "1"
        given = (output, *(parameter(name, "1", columns) for name in learned))
        output = Value(f"A{number}", shape)
        yield Part(layer.activation, number, given, output, layer.parameters)
    if layer.dropout:
        mask = Value(f"R{number}", shape, "mask")
        yield Part("dropout", number, (output, mask), Value(f"Q{number}", shape))
