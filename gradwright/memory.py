"""How much memory a network takes, counted, for training and for inference.

Training keeps, beside parameters and gradients, every pre-activation and activation of the batch
for the backward pass, and the optimizer's states. Inference needs the input and the output of one
layer at a time. Workspace of single kernels is not counted: it is a block of rows at most. The C++
engine works in place where it can, and makes the gradient of dense weights block by block.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from gradwright import kernels
from gradwright.kernels import LEARNED

if TYPE_CHECKING:
    from gradwright.specification import LayerSpecification, Specification

_BYTES = {"float32": 4, "float64": 8}
_INDEX_BYTES = 4
_ENGINE_CROSSOVER = 0.55  # density from which weights that are missing are multiplied too
# Values of a gradient that the engine makes at a time, and features it turns to rows at a time.
_ENGINE_BLOCK, _ENGINE_TILE = 192 * 1024, 16
_ENGINE_SAMPLES = 512  # bytes of a feature that the engine takes at a time where weights are sparse


@dataclass(frozen=True)
class Item:
    """A row of the table: `count` numbers of `each` bytes; `formula` says how they are counted."""

    name: str
    formula: str
    count: int
    each: int

    @property
    def bytes(self) -> int:
        return self.count * self.each


@dataclass(frozen=True)
class MemoryTable:
    """The memory of training with batches of `batch` samples, and of inference with such."""

    batch: int
    dtype: str
    training: tuple[Item, ...]
    inference: tuple[Item, ...]

    @property
    def training_bytes(self) -> int:
        return sum(item.bytes for item in self.training)

    @property
    def inference_bytes(self) -> int:
        return sum(item.bytes for item in self.inference)

    def __getitem__(self, name: str) -> Item:
        """The row of training with this name; KeyError if there is none."""
        for item in self.training:
            if item.name == name:
                return item
        raise KeyError(name)

    def to_json(self) -> dict[str, Any]:
        """Plain values: rows with floats and bytes, and totals in bytes."""

        def rows(items: tuple[Item, ...]) -> list[dict[str, Any]]:
            return [{**asdict(item), "bytes": item.bytes} for item in items]

        return {
            "batch": self.batch, "dtype": self.dtype,
            "training": rows(self.training), "training_bytes": self.training_bytes,
            "inference": rows(self.inference), "inference_bytes": self.inference_bytes,
        }  # fmt: skip


def memory_table(
    specification: Specification,
    batch: int,
    states: Sequence[str] | None = None,
    backend: str = "numpy",
    threads: int = 1,
) -> MemoryTable:
    """The table of a network for batches of `batch` samples. ValueError unless batch >= 1.

    `states` names the optimizer's states; None asks its kernel. `backend`: "numpy", kernel by
    kernel, or "cpp", the engine with so many threads.
    """
    if batch < 1:
        raise ValueError(f"expected batch >= 1, got {batch}")
    engine = backend == "cpp" and not any(l.activation in LEARNED for l in specification.layers)
    each = _BYTES[specification.dtype]
    parameters = tuple(_parameters(specification, each))
    floats = sum(item.count for item in parameters if item.name != "indices of sparse weights")
    if states is None:
        states = kernels.optimizer(specification.optimizer).arrays[2:]
    if engine:
        training = [*parameters, *_in_engine(specification, batch, each, threads)]
        whole = specification.clip_norm or _at_a_time(specification, batch, each) < batch
        blocks = 0 if whole else sum(_weights(l) for l in specification.layers if not l.sparse)
        without = "" if whole else " but dense weights"
        training.append(Item("gradients", f"one of each parameter{without}", floats - blocks, each))
    else:
        training = [*parameters, *_cached(specification, batch, each)]
        training.append(Item("gradients", "one of each parameter", floats, each))
    if states:
        formula = f"{', '.join(states)} of each parameter"
        name, number = f"states of {specification.optimizer}", len(states) * floats
        training.append(Item(name, formula, number, each))
    inference = [*parameters, *_statistics(specification, each)]
    sizes = specification.sizes
    pair = max(itertools.pairwise(sizes), key=sum)
    inference += [
        Item("largest activation", "N max(H)", batch * max(sizes), each),
        Item("beside it", "the other side of its layer", batch * (sum(pair) - max(sizes)), each),
    ]
    return MemoryTable(batch, specification.dtype, tuple(training), tuple(inference))


def _parameters(specification: Specification, each: int) -> Iterator[Item]:
    layers = specification.layers
    yield Item("weights", "sum of H_l H_(l-1)", sum(map(_weights, layers)), each)
    yield Item("biases", "sum of H_l", sum(layer.outputs for layer in layers), each)
    normalised = sum(layer.outputs for layer in layers if layer.batchnorm)
    if normalised:
        yield Item("gamma and beta", "2 H_l where normalised", 2 * normalised, each)
    learned = sum(_learned(layer) for layer in layers)
    if learned:
        yield Item("parameters of activations", "by activation", learned, each)
    indices = sum(_weights(layer) + layer.outputs + 1 for layer in layers if layer.sparse)
    if indices:
        formula = "a column a weight, H_l + 1 row starts"
        yield Item("indices of sparse weights", formula, indices, _INDEX_BYTES)


def _cached(specification: Specification, batch: int, each: int) -> Iterator[Item]:
    layers, sizes = specification.layers, specification.sizes
    yield Item("cached activations", "N (H_0 + ... + H_L)", batch * sum(sizes), each)
    yield Item("cached pre-activations", "N (H_1 + ... + H_L)", batch * sum(sizes[1:]), each)
    extra = sum(_extra(layer) for layer in layers)
    if extra:
        formula = "N H_l for each normalised value and mask kept"
        yield Item("cached normalised values and masks", formula, batch * extra, each)
    yield from _statistics(specification, each)
    formula = "of the widest layer, its input and output"
    yield Item("gradients of activations", formula, batch * _in_flight(layers), each)


def _in_engine(
    specification: Specification, batch: int, each: int, threads: int
) -> Iterator[Item]:
    """Of a batch in the engine, whose stages overwrite what no backward pass needs."""
    layers, sizes = specification.layers, specification.sizes
    whole, batch = batch, _at_a_time(specification, batch, each)
    n = "N" if batch == whole else str(batch)
    last = layers[-1] if specification.loss_on_logits else None
    active = [layer for layer in layers if layer.activation != "identity" and layer is not last]
    apart = sum(l.outputs for l in active if l.activation != "relu" and _saves(l, "X", "Z"))
    extra = sum(layer.outputs * (layer.batchnorm + (layer.dropout > 0)) for layer in layers)
    extra += sum(l.outputs for l in active if l.dropout and _saves(l, "Y"))
    yield Item("cached activations", f"{n} (H_0 + ... + H_L)", batch * sum(sizes), each)
    panels = sum(l.inputs for l in layers if not _truly_sparse(l))
    if panels:
        yield Item("inputs again, for products", f"{n} H_(l-1) of dense layers", batch * panels, each)
    if apart:
        formula = f"{n} H_l where the activation needs its input"
        yield Item("cached pre-activations", formula, batch * apart, each)
    if extra:
        formula = f"{n} H_l for each normalised value and mask kept"
        yield Item("cached normalised values and masks", formula, batch * extra, each)
    yield from _statistics(specification, each)
    count = batch * (sum(sizes[1:]) + 2 * sizes[-1])
    yield Item("gradients of activations", f"{n} (H_1 + ... + H_L), rows of the loss", count, each)
    block = max(_ENGINE_BLOCK, batch * 4 * _ENGINE_TILE)
    yield Item("workspace", "a block of a gradient, for each thread", threads * block, each)


def _at_a_time(specification: Specification, batch: int, each: int) -> int:
    """Samples that go through the engine together: not all where most weights are sparse."""
    layers = specification.layers
    sparse = sum(_weights(l) if _truly_sparse(l) else -_weights(l) for l in layers)
    if sparse <= 0 or any(layer.batchnorm for layer in layers):
        return batch
    parts = -(-batch * each // _ENGINE_SAMPLES)
    return -(-batch // parts)


def _truly_sparse(layer: LayerSpecification) -> bool:
    return layer.sparse and _weights(layer) < _ENGINE_CROSSOVER * layer.inputs * layer.outputs


def _extra(layer: LayerSpecification) -> int:
    """What a layer keeps for a sample besides input, pre-activation and output."""
    normalised = layer.batchnorm and _saves(layer, "X", "Z")
    undropped = layer.dropout > 0 and _saves(layer, "Y")
    return layer.outputs * (normalised + undropped + (layer.dropout > 0))


def _saves(layer: LayerSpecification, *names: str) -> bool:
    """Whether the backward pass of the activation takes one of these."""
    return any(name in kernels.activation(layer.activation).saves for name in names)


def _in_flight(layers: Sequence[LayerSpecification]) -> int:
    """The most that a backward pass holds for a sample beyond what the forward pass kept.

    A layer holds the gradient it gets and the one it hands on, the first one hands on none; layers
    behind it have let go of their normalised values and masks.
    """
    most, freed = 0, 0
    for layer in reversed(layers):
        if layer.activation != "identity" and layer is not layers[-1]:
            most = max(most, 2 * layer.outputs - freed)
        freed += _extra(layer)
        handed_on = 0 if layer is layers[0] else layer.inputs
        most = max(most, layer.outputs + handed_on - freed)
    return most


def _statistics(specification: Specification, each: int) -> Iterator[Item]:
    normalised = sum(layer.outputs for layer in specification.layers if layer.batchnorm)
    if normalised:
        yield Item("running statistics", "2 H_l where normalised", 2 * normalised, each)


def _weights(layer: LayerSpecification) -> int:
    return layer.count


def _learned(layer: LayerSpecification) -> int:
    each = layer.outputs if layer.activation == "prelu" else 1
    return each * len(LEARNED.get(layer.activation, {}))
