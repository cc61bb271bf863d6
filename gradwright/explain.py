"""The complete algorithm of a network, from the proved equations of the layers it is made of.

Shapes, forward pass, backward pass by the chain rule, update, memory and operations of a network
and a batch size. The equations are those of the shipped reports, under the network's names: no
formula stands here. Nothing of the generator is needed to print them.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gradwright.composition import Composition, Part, Value, compose
from gradwright.memory import Item, MemoryTable, memory_table
from gradwright.summary import named

if TYPE_CHECKING:
    from gradwright.specification import Specification

Report = Mapping[str, Any]
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_]*(?!')\b")
_KINDS = {
    "data": "samples", "target": "targets", "parameter": "parameter", "mask": "random mask",
    "pattern": "pattern of weights, 0 or 1", "value": "",
}  # fmt: skip


@dataclass(frozen=True)
class Equation:
    """`name` = formula, with its shape over the sizes."""

    name: str
    text: str
    shape: tuple[str, str]


@dataclass(frozen=True)
class Step:
    """The equations of one kernel of the network."""

    kernel: str
    layer: int
    equations: tuple[Equation, ...]


@dataclass(frozen=True)
class Explanation:
    """What `gradwright explain` prints; counts of operations are for one batch."""

    title: str
    sizes: Mapping[str, int]
    inputs: tuple[Value, ...]
    forward: tuple[Step, ...]
    backward: tuple[Step, ...]
    where: tuple[str, ...]
    optimizer: str
    update: tuple[str, ...]
    updated: tuple[str, ...]
    choices: tuple[str, ...]
    clipping: tuple[str, ...]
    memory: MemoryTable
    operations: Mapping[str, Mapping[str, int]]

    def to_json(self) -> dict[str, Any]:
        """Plain values for programs."""
        return {
            "title": self.title,
            "sizes": dict(self.sizes),
            "inputs": [
                {"name": v.name, "shape": self.numbers(v.shape), "kind": v.kind}
                for v in self.inputs
            ],
            "forward": [self._step(step) for step in self.forward],
            "backward": [self._step(step) for step in self.backward],
            "where": list(self.where),
            "update": {
                "optimizer": self.optimizer, "equations": list(self.update),
                "parameters": list(self.updated), "choices": list(self.choices),
                "clipping": list(self.clipping),
            },
            "memory": self.memory.to_json(),
            "operations": {name: dict(counts) for name, counts in self.operations.items()},
        }  # fmt: skip

    def _step(self, step: Step) -> dict[str, Any]:
        equations = [
            {"name": e.name, "text": e.text, "shape": self.numbers(e.shape)}
            for e in step.equations
        ]
        return {"kernel": step.kernel, "layer": step.layer, "equations": equations}

    def numbers(self, shape: tuple[str, str]) -> list[int]:
        """A shape with the sizes filled in."""
        return [self.sizes.get(dim, 1) for dim in shape]

    def __str__(self) -> str:
        return "\n".join(_lines(self)) + "\n"


def explain(specification: Specification, batch: int, backend: str = "numpy") -> Explanation:
    """Explain the training step and the inference of a network for batches of `batch` samples.

    `backend`: whose memory is counted. Raises ValueError for a batch below 1.
    """
    memory = memory_table(specification, batch, backend=backend)
    composition = compose(specification)
    sizes = {"N": batch, **composition.sizes}
    rule = report(specification.optimizer)
    names = composition.names
    return Explanation(
        _title(specification, batch),
        sizes,
        composition.inputs,
        tuple(Step(p.kernel, p.layer, tuple(_forward(p, names))) for p in composition.parts),
        tuple(Step(p.kernel, p.layer, tuple(_backward(p, names))) for p in reversed(composition.parts)),
        tuple(dict.fromkeys(line for part in composition.parts for line in _where(part))),
        specification.optimizer,
        tuple(equation["text"] for equation in rule["equations"]),
        tuple(value.name for value in composition.parameters),
        tuple(_choices(specification)),
        tuple(_clipping(specification)),
        memory,
        _operations(specification, composition, sizes),
    )


def _choices(specification: Specification) -> Iterator[str]:
    """The numbers that were given for the targets and the update."""
    smoothing = specification.label_smoothing
    if smoothing:
        classes = "K" if specification.task == "multiclass" else "2"
        yield f"T is smoothed: (1 - {smoothing:g}) T + {smoothing:g} / {classes}"
    for name, value in specification.optimizer_parameters.items():
        where = " for weights, 0 for the others" if name == "weight_decay" else ""
        yield f"{name} = {value:g}{where}"
    if specification.clip_norm is not None:
        yield f"clip_norm = {specification.clip_norm:g}"


def _clipping(specification: Specification) -> Iterator[str]:
    """How gradients are clipped, from the derived function whose gradient that is."""
    if specification.clip_norm is None:
        return
    data = report("clip_by_global_norm")
    value, *_ = data["equations"]
    (gradient,) = data["gradient_equations"]
    yield value["text"]
    yield gradient["text"].replace("DG =", "G ←")
    used = gradient["text"]
    yield from (line for line in data["where"] if f"{line.partition('(')[0]}(" in used)


@cache
def report(name: str) -> Report:
    """The shipped report of a layer or an optimizer as plain data."""
    import gradwright.generated

    folder = Path(next(iter(gradwright.generated.__path__))) / "reports"
    found: Report = json.loads((folder / f"{name}.json").read_text())
    return found


def _title(specification: Specification, batch: int) -> str:
    sizes = "-".join(map(str, specification.sizes))
    activations = ", ".join(named(layer.activation, layer.parameters) for layer in specification.layers)
    loss = named(specification.loss, specification.loss_parameters)
    return (
        f"{sizes}: {activations}; {loss}; {specification.optimizer}; "
        f"batches of {batch}, {specification.dtype}"
    )


# ---- Equations under the network's names ---------------------------------------------------------


def _arrays(data: Report) -> list[Mapping[str, Any]]:
    return [item for item in data["inputs"] if item["role"] != "hyperparameter"]


def names_of(
    part: Part, inputs: Iterable[str], output: str, inner: Iterable[str], taken: Container[str]
) -> dict[str, str]:
    """The network's names of a kernel's: arguments, output, gradients and inner values.

    An inner value gets the number of its layer; where that name is taken, its kernel's name too.
    """
    found = dict(zip(inputs, (v.name for v in part.inputs), strict=True))
    found[output] = part.output.name
    gradients = {f"D{formal}": f"D{actual}" for formal, actual in found.items()}
    for name in inner:
        wanted = f"{name}{part.layer}"
        found[name] = wanted if wanted not in taken else f"{part.kernel}_{wanted}"
    return found | gradients


def _names(part: Part, data: Report, taken: Container[str]) -> dict[str, str]:
    inputs = [item["name"] for item in _arrays(data)]
    output = data["output"]["name"]
    inner = [e["name"] for e in data["equations"] if e["name"] != output]
    found = names_of(part, inputs, output, inner, taken) | _size_names(part, data)
    values = {item["name"]: item["default"] for item in data["inputs"]}
    values |= dict(part.hyperparameters)
    hyper = [item["name"] for item in data["inputs"] if item["role"] == "hyperparameter"]
    return found | {name: f"{values[name]:g}" for name in hyper if values[name] is not None}


def _size_names(part: Part, data: Report) -> dict[str, str]:
    found: dict[str, str] = {}
    for item, value in zip(_arrays(data), part.inputs, strict=True):
        found |= dict(zip(item["shape"], value.shape, strict=True))
    found.pop("1", None)
    return found


def _renamed(text: str, names: Mapping[str, str]) -> str:
    return _WORD.sub(lambda match: names.get(match[0], match[0]), text)


def _equation(equation: Mapping[str, Any], names: Mapping[str, str]) -> Equation:
    rows, columns = (names.get(dim, dim) for dim in equation["shape"])
    text = _renamed(equation["text"], names)
    return Equation(text.partition(" = ")[0], text, (rows, columns))


def _forward(part: Part, taken: Container[str]) -> Iterator[Equation]:
    data = report(part.kernel)
    names = _names(part, data, taken)
    for equation in data["equations"]:
        yield _equation(equation, names)


def _backward(part: Part, taken: Container[str]) -> Iterator[Equation]:
    """Gradients of one kernel; the samples need none."""
    data = report(part.kernel)
    names = _names(part, data, taken)
    wanted = {f"D{value.name}" for value in part.inputs if value.kind in ("parameter", "value")}
    needless = {f"D{value.name}" for value in part.inputs} - wanted
    for equation in data["gradient_equations"]:
        found = _equation(equation, names)
        if found.name not in needless:
            yield found


def _where(part: Part) -> Iterator[str]:
    data = report(part.kernel)
    names = _size_names(part, data)
    for line in data["where"]:
        yield _renamed(line, names) if line.startswith("scale") else line


# ---- Counts --------------------------------------------------------------------------------------


def _operations(
    specification: Specification, composition: Composition, sizes: Mapping[str, int]
) -> dict[str, dict[str, int]]:
    """Totals of the forward and of the backward pass, from the formulas of the reports."""
    totals: dict[str, dict[str, int]] = {"forward": {}, "backward": {}}
    for part in composition.parts:
        kernel, numbers = part.kernel, dict(sizes)
        if kernel == "masked_linear":  # what runs does nothing where no weight is
            kernel, numbers["P"] = "sparse_linear", specification.layers[part.layer - 1].count
        elif any(value.kind == "data" for value in part.inputs):
            kernel = f"{kernel}_of_data"
        names = _size_names(part, report(part.kernel))
        for routine, counts in totals.items():
            for kind, count in report(kernel)["cost"]["routines"][routine].items():
                counts[kind] = counts.get(kind, 0) + evaluate(count["formula"], names, numbers)
    return totals


def evaluate(formula: str, names: Mapping[str, str], sizes: Mapping[str, int]) -> int:
    """The value of a count such as `2 N K + 3 K`."""
    total = 0
    for term in formula.split(" + "):
        factors = (int(f) if f.isdigit() else sizes[names.get(f, f)] for f in term.split())
        total += math.prod(factors)
    return total


# ---- Text ----------------------------------------------------------------------------------------


def _lines(found: Explanation) -> Iterator[str]:
    yield found.title
    yield ""
    yield "Sizes: " + ", ".join(f"{name} = {size}" for name, size in found.sizes.items())
    yield ""
    yield "Inputs"
    for value in found.inputs:
        yield f"  {value.name:8}{_shape(found, value.shape):14}{_KINDS[value.kind]}"
    for title, steps in (("Forward", found.forward), ("Backward", found.backward)):
        yield ""
        yield f"{title}, one training step" if title == "Forward" else title
        for step in steps:
            for place, equation in enumerate(step.equations):
                margin = f"{step.layer} {step.kernel}" if place == 0 else ""
                yield f"  {margin:27} {equation.text:57} {_shape(found, equation.shape)}".rstrip()
    if found.where:
        yield "  where DL = 1 and"
        yield from (f"    {line}" for line in found.where)
    yield ""
    yield f"Update by {found.optimizer}, for theta in {', '.join(found.updated)} and g = Dtheta"
    yield from (f"  {line}" for line in found.update)
    if found.choices:
        yield f"  where {', '.join(found.choices)}"
    if found.clipping:
        yield "Before it, with DL = 1 and others, the squares of the other gradients, for every gradient G"
        yield from (f"  {line}" for line in found.clipping)
    yield ""
    yield "Inference: the forward pass up to the output activation, without dropout, and with"
    yield "running statistics where a batch was normalised."
    yield ""
    yield from _memory(found.memory)
    yield ""
    yield "Operations of one batch"
    kinds = list(found.operations["forward"])
    yield f"  {'':22}{'forward':>16}{'backward':>16}"
    for kind in kinds:
        one, other = (found.operations[routine][kind] for routine in ("forward", "backward"))
        yield f"  {kind:22}{one:>16,}{other:>16,}"


def _shape(found: Explanation, shape: tuple[str, str]) -> str:
    numbers = found.numbers(shape)
    return "" if numbers == [1, 1] and shape == ("1", "1") else " x ".join(map(str, numbers))


def _memory(table: MemoryTable) -> Iterator[str]:
    parts = (
        ("training", table.training, table.training_bytes),
        ("inference", table.inference, table.inference_bytes),
    )
    width = max(len(_item_title(item)) for item in (*table.training, *table.inference))
    for title, items, total in parts:
        yield f"{f'Memory of {title}':{width + 2}}{'floats':>14}{'bytes':>16}"
        for item in items:
            yield f"  {_item_title(item):{width}}{item.count:>14,}{item.bytes:>16,}"
        yield f"  {'total':{width}}{sum(i.count for i in items):>14,}{total:>16,}"
        if title == "training":
            yield ""


def _item_title(item: Item) -> str:
    return f"{item.name}: {item.formula}"
