"""What the generated NumPy modules allocate beside their results."""

import importlib
import tracemalloc
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import numpy as np
import pytest

from gradwright.codegen.derivation import Derivation, derive_all
from gradwright.codegen.inputs import built_in_scripts
from gradwright.codegen.notation import Layer
from gradwright.codegen.scripts import load_script
from gradwright.codegen.verify.edges import Subject

LAYERS = {
    layer.name: layer
    for script in built_in_scripts()
    for layer in load_script(script)
    if isinstance(layer, Layer) and layer.name != "sparse_linear"  # whose kernel takes other arguments
}
# Their gradients need one N x K value at a time, which `out` can hold.
IN_PLACE = (
    "relu", "sigmoid", "log_sigmoid", "tanh", "softplus", "dropout", "softmax", "log_softmax", "batchnorm",
    "batchnorm_inference", "linear", "squared_error", "half_squared_error", "mean_squared_error",
    "binary_cross_entropy", "softmax_cross_entropy",
)  # fmt: skip
# Those of layernorm need a second N x K value, and the iterator's buffer is a third at this size.
BENCHMARKED = ("softmax", "log_softmax", "relu", "gelu", "batchnorm")
OBJECTS = 1024  # bytes of Python and of NumPy's iterators, whatever the size
# NumPy's iterator buffers a broadcast operand, up to 8192 entries.
BUFFERS = 8192 * 8 + 4096


@cache
def derivation(name: str) -> Derivation:
    return next(d for d in derive_all(LAYERS[name]) if d.name == name)


class Calls:
    """A layer in float32: `rows` copies of 64 rows, columns repeated."""

    def __init__(self, name: str, rows: int, cols: int) -> None:
        self.module = importlib.import_module(f"gradwright.generated.numpy.{name}")
        subject = Subject(derivation(name))
        self._program, self._kernel = subject.program, subject.derivation.kernel
        sizes = {self._program.sizes[1]: 10} if len(self._program.sizes) == 2 else {}
        given = subject.arguments(subject.sample(rows=64, **sizes), "float32")
        self.arguments = self._tiled(given, rows, cols)
        self.largest = max(a.nbytes for a in self.arguments.values() if isinstance(a, np.ndarray))

    def _tiled(self, given: Mapping[str, Any], rows: int, cols: int) -> dict[str, Any]:
        shapes = {i.name: i.shape for i in self._program.inputs}
        shapes[self._program.upstream] = self._program.output.shape
        first = self._program.sizes[0]
        return {
            name: np.tile(value, [rows if d == first else cols for d in shapes[name] if d != "1"])
            if isinstance(value, np.ndarray) else value
            for name, value in given.items()
        }  # fmt: skip

    def forward(self, out: Any = None) -> Any:
        return self.module.forward(*(self.arguments[i.name] for i in self._program.inputs), out=out)

    def backward(self) -> Callable[..., Any]:
        results = self.forward()
        several = results if self._kernel.extra_results else (results,)
        known = {**self.arguments, **dict(zip(self._kernel.forward.results, several, strict=True))}
        given = [known[n] for n, _ in self._kernel.backward.arguments if n != "scale"]
        return lambda out=None: self.module.backward(*given, out=out)


def allocated(call: Callable[[], Any]) -> tuple[Any, int]:
    """The results of a call, and the most bytes it held beside them."""
    call()
    tracemalloc.start()
    try:
        results = call()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    several = results if isinstance(results, tuple) else (results,)
    return results, peak - sum(np.asarray(r).nbytes for r in several)


@pytest.mark.parametrize("name", LAYERS)
def test_temporaries_are_at_most_twice_the_largest_array(name: str) -> None:
    calls = Calls(name, rows=64, cols=8)
    for call in (calls.forward, calls.backward()):
        _, temporary = allocated(call)
        assert temporary <= 2 * calls.largest


@pytest.mark.parametrize("name", BENCHMARKED)
def test_temporaries_of_a_small_batch_are_at_most_twice_the_output(name: str) -> None:
    calls = Calls(name, rows=1, cols=1)
    assert calls.largest == 64 * 10 * 4
    for call in (calls.forward, calls.backward()):
        _, temporary = allocated(call)
        assert temporary <= 2 * calls.largest + OBJECTS


@pytest.mark.parametrize("name", IN_PLACE)
def test_backward_into_buffers_allocates_vectors_only(name: str) -> None:
    calls = Calls(name, rows=512, cols=4)
    backward = calls.backward()
    results = backward()
    several = isinstance(results, tuple)
    out = tuple(np.empty_like(r) for r in results) if several else np.empty_like(results)
    found, peak = allocated(lambda: backward(out=out))
    assert all(f is o for f, o in zip(*((found, out) if several else ((found,), (out,))), strict=True))
    held = sum(r.nbytes for r in (out if several else (out,)))
    vectors = 4 * 8 * max(s for a in calls.arguments.values() if isinstance(a, np.ndarray) for s in a.shape)
    assert vectors + BUFFERS < calls.largest
    assert peak + held <= vectors + BUFFERS
