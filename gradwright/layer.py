"""One layer, composed of generated kernels: linear, batch normalisation, activation, dropout."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from gradwright import initialisers, kernels
from gradwright.backends import BATCHNORM_EPSILON, BATCHNORM_MOMENTUM
from gradwright.backends.masks import dropout_mask
from gradwright.specification import LayerSpecification, Named, Specification, specify

Array = np.ndarray[Any, np.dtype[Any]]


class Layer:
    """A linear map and its activation, forward and backward, by generated kernels.

    >>> layer = Layer(4, 3, "relu", seed=0)
    >>> A = layer.forward(np.ones((2, 4), np.float32), training=True)
    >>> DX = layer.backward(np.ones_like(A))
    >>> layer.DW.shape
    (3, 4)

    W: (n_out, n_in) and b: (n_out,) are the parameters, DW and Db their gradients after `backward`.
    After `forward(..., training=True)`, a_prev (N, n_in) is the input, z (N, n_out) the value of
    the linear map and a (N, n_out) the output; backward passes use what was saved then.
    """

    def __init__(
        self,
        n_in: int,
        n_out: int,
        activation: Named = None,
        *,
        init: Named = "he",
        dtype: Any = "float32",
        seed: int = 0,
        backend: str = "numpy",
    ) -> None:
        described = specify([n_in, n_out], [activation], init=init, dtype=dtype, seed=seed)
        self._set_up(described.layers[0], backend, initial_arrays(described), "layer1.", seed, 1)

    @classmethod
    def of(
        cls,
        described: LayerSpecification,
        target: str,
        arrays: Mapping[str, Array],
        seed: int,
        number: int,
    ) -> Layer:
        """Layer `number` of a network over arrays that are named as a backend names them."""
        layer = cls.__new__(cls)
        layer._set_up(described, target, arrays, f"layer{number}.", seed, number)
        return layer

    def _set_up(
        self,
        described: LayerSpecification,
        target: str,
        arrays: Mapping[str, Array],
        prefix: str,
        seed: int,
        number: int,
    ) -> None:
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        self.specification = described
        self.statistics: dict[str, Array] = {k: own.pop(k) for k in ("mean", "variance") if k in own}
        self.parameters: dict[str, Array] = own
        self.gradients: dict[str, Array] = {}
        self.a_prev: Array | None = None
        self.z: Array | None = None
        self.a: Array | None = None
        self._seed, self._number = seed, number
        self._pullbacks: list[tuple[str, Callable[[Array], Any]]] = []
        self._linear = kernels.module(target, "linear")
        self._learned = [name for name in own if name not in ("W", "b", "gamma", "beta")]
        name = described.activation
        self._activation = None if name == "identity" else kernels.module(target, name)
        if described.batchnorm:
            self._batchnorm = kernels.module(target, "batchnorm")
            self._batchnorm_inference = kernels.module(target, "batchnorm_inference")
        if described.dropout:
            self._dropout = kernels.module(target, "dropout")

    W = property(lambda self: self.parameters["W"], doc="The weights, (n_out, n_in).")
    b = property(lambda self: self.parameters["b"], doc="The bias, (n_out,).")
    DW = property(lambda self: self.gradients.get("W"), doc="The gradient of W, or None.")
    Db = property(lambda self: self.gradients.get("b"), doc="The gradient of b, or None.")

    def __repr__(self) -> str:
        described = self.specification
        return f"Layer({described.inputs}, {described.outputs}, {described.activation!r})"

    def forward(
        self, X: Array, training: bool = False, step: int = 0, activate: bool = True
    ) -> Array:
        """(N, n_in) -> (N, n_out). With `training`, what `backward` needs is kept.

        step: chooses the dropout mask. activate: False leaves out the activation, for losses that
        work on logits.
        """
        if training:
            self._pullbacks.clear()
            return self._forward_training(X, step, activate)
        value: Array = self._linear.forward(X, self.W, self.b)
        if self.specification.batchnorm:
            value = self._batchnorm_inference.forward(
                value, self.statistics["mean"], self.statistics["variance"],
                self.parameters["gamma"], self.parameters["beta"], BATCHNORM_EPSILON,
            ).Y  # fmt: skip
        if self._activation is not None and activate:
            learned = (self.parameters[name] for name in self._learned)
            result = self._activation.forward(value, *learned, **self.specification.parameters)
            value = result[0] if isinstance(result, tuple) else result
        return value

    def _forward_training(self, X: Array, step: int, activate: bool) -> Array:
        described, keep = self.specification, self._pullbacks.append
        value: Array
        value, pullback = self._linear.vjp(X, self.W, self.b)
        self.a_prev, self.z = X, value
        keep(("linear", pullback))
        if described.batchnorm:
            value = self._normalise(value)
        if self._activation is not None and activate:
            learned = [self.parameters[name] for name in self._learned]
            value, pullback = self._activation.vjp(value, *learned, **described.parameters)
            keep(("activation", pullback))
        if described.dropout:
            mask = dropout_mask(
                self._seed, self._number, step, value.shape, described.dropout, value.dtype
            )
            value, pullback = self._dropout.vjp(value, mask)
            keep(("dropout", pullback))
        self.a = value
        return value

    def _normalise(self, X: Array) -> Array:
        """Batch normalisation with the batch's statistics, which the running ones follow."""
        gamma, beta = self.parameters["gamma"], self.parameters["beta"]
        Y: Array
        Y, mu, inv_std = self._batchnorm.forward(X, gamma, beta, BATCHNORM_EPSILON)
        variance = np.maximum(inv_std.astype(np.float64) ** -2 - BATCHNORM_EPSILON, 0)
        for name, new in (("mean", mu), ("variance", variance)):
            running = self.statistics[name]
            running *= BATCHNORM_MOMENTUM
            running += ((1 - BATCHNORM_MOMENTUM) * new).astype(running.dtype)

        def pullback(DY: Array) -> Any:
            return self._batchnorm.backward(DY, X, gamma, inv_std, mu)

        self._pullbacks.append(("batchnorm", pullback))
        return Y

    def backward(self, DA: Array) -> Array:
        """The gradient of the input, (N, n_in), from that of the output; DW, Db ... are kept."""
        if not self._pullbacks:
            raise RuntimeError("backward needs a forward pass with training=True before it")
        gradient = DA
        while self._pullbacks:
            part, pullback = self._pullbacks.pop()
            found = pullback(gradient)
            if part == "linear":
                gradient, self.gradients["W"], self.gradients["b"] = found
            elif part == "batchnorm":
                gradient, self.gradients["gamma"], self.gradients["beta"] = found
            elif part == "activation" and self._learned:
                gradient = found[0]
                self.gradients.update(zip(self._learned, found[1:], strict=True))
            else:
                gradient = found
        return gradient


def shapes(described: Specification) -> dict[str, tuple[int, ...]]:
    """The parameters of a network and their shapes."""
    found: dict[str, tuple[int, ...]] = {}
    for number, layer in enumerate(described.layers, start=1):
        prefix, K = f"layer{number}.", layer.outputs
        if layer.sparse:
            count = round(layer.density * K * layer.inputs)
            found[f"{prefix}W.values"] = found[f"{prefix}W.indices"] = (count,)
            found[f"{prefix}W.indptr"] = (K + 1,)
        else:
            found[f"{prefix}W"] = (K, layer.inputs)
        found[f"{prefix}b"] = (K,)
        if layer.batchnorm:
            found[f"{prefix}gamma"] = found[f"{prefix}beta"] = (K,)
        for name in kernels.LEARNED.get(layer.activation, {}):
            found[f"{prefix}{name}"] = (K,)
    return found


def initial_arrays(described: Specification) -> dict[str, Array]:
    """The parameters of a network before training: weights by its initialiser, seeded."""
    rng = np.random.Generator(np.random.PCG64(described.seed))
    dtype = np.dtype(described.dtype)
    arrays: dict[str, Array] = {}
    for number, layer in enumerate(described.layers, start=1):
        prefix, K = f"layer{number}.", layer.outputs
        W = initialisers.weights(
            described.init, described.init_parameters, rng, K, layer.inputs
        )
        arrays[f"{prefix}W"] = np.ascontiguousarray(W, dtype)
        arrays[f"{prefix}b"] = np.zeros(K, dtype)
        if layer.batchnorm:
            arrays[f"{prefix}gamma"] = np.ones(K, dtype)
            arrays[f"{prefix}beta"] = np.zeros(K, dtype)
        for name, value in kernels.LEARNED.get(layer.activation, {}).items():
            arrays[f"{prefix}{name}"] = np.full(K, value, dtype)
    return arrays
