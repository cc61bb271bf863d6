"""Where training broke: the layer in which the first value became infinite or NaN."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from gradwright.backends.composed import Composed

if TYPE_CHECKING:
    from gradwright.network import MLP

Array = np.ndarray[Any, np.dtype[Any]]


class DivergenceError(FloatingPointError):
    """Loss or gradients are not finite; the message names the layer where that began."""


def first_nonfinite(net: MLP, X: Array, T: Array, weight: Array | None) -> str:
    """The first non-finite value of a training step on this batch, in words."""
    if not np.isfinite(X).all():
        return _place("the input X of this batch", X)
    probe = Composed("numpy", net.specification, net.parameters())
    state = net.backend.state()
    for name, array in probe.state().items():  # places that are watched for growth do not matter
        array[...] = state[name]
    with np.errstate(all="ignore"):
        for name, array in _values(probe, X, T, weight):
            if not np.isfinite(array).all():
                return _place(name, array)
    return "every value of the step is finite in NumPy's kernels"


def _values(
    probe: Composed, X: Array, T: Array, weight: Array | None
) -> Iterator[tuple[str, Array]]:
    """All values of a step, in the order in which they are computed."""
    for number, layer in enumerate(probe.layers, start=1):
        for name, array in layer.parameters.items():
            yield f"layer {number}, parameter {name}", array
    probe.forward(X, training=True, activate=False)
    for number, layer in enumerate(probe.layers, start=1):
        assert layer.z is not None  # noqa: S101
        assert layer.a is not None  # noqa: S101
        yield f"layer {number}, pre-activation z", layer.z
        yield f"layer {number}, activation a ({layer.specification.activation})", layer.a
    yield f"the loss behind layer {len(probe.layers)}", np.array([probe.backward(T, weight)])
    for name, array in reversed(probe.gradients().items()):
        layer_name, _, own = name.partition(".")
        yield f"{layer_name.replace('layer', 'layer ')}, gradient of {own}", array


def _place(name: str, array: Array) -> str:
    index = np.unravel_index(int(np.isfinite(array).argmin()), array.shape)
    where = ", ".join(str(int(k)) for k in index)
    return f"{name}: entry [{where}] is {array[index]}"


def diverged(epoch: int, batch: int, cause: str, where: str) -> DivergenceError:
    """The error for a step that was not made."""
    return DivergenceError(
        f"training diverged in epoch {epoch}, batch {batch}: {cause}. The first value that is not "
        f"finite: {where}. The parameters are as before this batch; lower the learning rate, set "
        "clip_norm or scale the data"
    )
