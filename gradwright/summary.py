"""A network as a table of text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gradwright.network import MLP
    from gradwright.specification import LayerSpecification


def summary(net: MLP) -> str:
    """Layers with shapes and counts of parameters, loss, optimizer, and what runs them."""
    spec = net.specification
    rows = [("layer", "shape", "then", "parameters")]
    arrays = net.parameters()
    total = 0
    for number, layer in enumerate(spec.layers, start=1):
        own = (a for n, a in arrays.items() if n.startswith(f"layer{number}.") and _trained(n))
        count = sum(array.size for array in own)
        total += count
        shape = f"{layer.inputs} -> {layer.outputs}"
        rows.append((str(number), shape, _then(layer), f"{count:,}"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    lines = [
        "  ".join((*(c.ljust(w) for c, w in zip(row[:3], widths, strict=False)),
                   row[3].rjust(widths[3])))
        for row in rows
    ]  # fmt: skip
    lines.append(f"{total:,} parameters, {spec.dtype}")
    where = " on logits" if spec.loss_on_logits else ""
    lines.append(f"loss       {named(spec.loss, spec.loss_parameters)}{where}")
    lines.append(f"optimizer  {named(spec.optimizer, spec.optimizer_parameters)}")
    lines.append(f"runs on    {net.backend.describe()}")
    return "\n".join(lines)


def _trained(name: str) -> bool:
    return not name.endswith((".indices", ".indptr"))


def _then(layer: LayerSpecification) -> str:
    parts = ["batchnorm"] if layer.batchnorm else []
    parts.append(named(layer.activation, layer.parameters))
    if layer.dropout:
        parts.append(f"dropout {layer.dropout:g}")
    if layer.sparse:
        parts.insert(0, f"density {layer.density:g}")
    return ", ".join(parts)


def named(name: str, parameters: Mapping[str, Any]) -> str:
    """A name with its parameters: leaky_relu(alpha=0.1)."""
    inner = ", ".join(f"{key}={value:g}" for key, value in parameters.items())
    return f"{name}({inner})" if inner else name
