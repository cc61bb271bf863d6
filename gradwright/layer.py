"""One layer, composed of generated kernels: linear, batch normalisation, activation, dropout."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import numpy as np

from gradwright import initialisers, kernels
from gradwright.backends import BATCHNORM_EPSILON, BATCHNORM_MOMENTUM
from gradwright.backends.masks import dropout_mask
from gradwright.sparse.choice import draw
from gradwright.sparse.supports import Support
from gradwright.specification import LayerSpecification, Named, Specification, specify

Array = np.ndarray[Any, np.dtype[Any]]
_MOST_ENTRIES = 2**44


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
        self.look_at(described.layers[0], backend, initial_arrays(described), "layer1.", seed, 1)

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
        layer.look_at(described, target, arrays, f"layer{number}.", seed, number)
        return layer

    def look_at(
        self,
        described: LayerSpecification,
        target: str,
        arrays: Mapping[str, Array],
        prefix: str,
        seed: int,
        number: int,
    ) -> None:
        """Become layer `number` of a network over these arrays; what was kept of a batch is forgotten."""
        own = {k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)}
        self.specification = described
        self.statistics: dict[str, Array] = {k: own.pop(k) for k in ("mean", "variance") if k in own}
        self.parameters: dict[str, Array] = own
        self.gradients: dict[str, Array] = {}
        self.a_prev: Array | None = None
        self.z: Array | None = None
        self.a: Array | None = None
        self._seed, self._number = seed, number
        self._pullbacks: list[tuple[str, Callable[..., Any]]] = []
        self._target = target
        self._linear = "sparse_linear" if described.sparse else "linear"
        self._trace: tuple[Array, Array] | None = None
        self.traced = False
        self._learned = list(kernels.LEARNED.get(described.activation, {}))
        name = described.activation
        self._activation = None if name == "identity" else kernels.module(target, name)
        if described.batchnorm:
            self._batchnorm = kernels.module(target, "batchnorm")
            self._batchnorm_inference = kernels.module(target, "batchnorm_inference")
        if described.dropout:
            self._dropout = kernels.module(target, "dropout")

    @property
    def W(self) -> Array:
        """The weights, (n_out, n_in); of a sparse layer a dense copy."""
        if not self.specification.sparse:
            return self.parameters["W"]
        values = self.parameters["W.values"]
        W = np.zeros((self.specification.outputs, self.specification.inputs), values.dtype)
        W[self.support.rows, self.support.indices] = values
        return W

    @property
    def support(self) -> Support:
        """Where the weights of a sparse layer are."""
        shape = self.specification.outputs, self.specification.inputs
        return Support(shape, self.parameters["W.indptr"], self.parameters["W.indices"])

    @property
    def b(self) -> Array:
        """The bias, (n_out,)."""
        return self.parameters["b"]

    @property
    def DW(self) -> Array | None:
        """The gradient of W; of a sparse layer that of its values. None before `backward`."""
        return self.gradients.get("W.values" if self.specification.sparse else "W")

    @property
    def Db(self) -> Array | None:
        """The gradient of b. None before `backward`."""
        return self.gradients.get("b")

    def __repr__(self) -> str:
        described = self.specification
        return f"{type(self).__name__}({described.inputs}, {described.outputs}, {described.activation!r})"

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
        value = self._linear_forward(X)
        if self.specification.batchnorm:
            value = self._batchnorm_inference.forward(
                value, self.statistics["mean"], self.statistics["variance"],
                self.parameters["gamma"], self.parameters["beta"], BATCHNORM_EPSILON,
            ).Y  # fmt: skip
        if self._activation is not None and activate:
            result = self._activation.forward(
                value, *self._learned_values(), **self.specification.parameters
            )
            value = result[0] if isinstance(result, tuple) else result
        return value

    def _forward_training(self, X: Array, step: int, activate: bool) -> Array:
        described, keep = self.specification, self._pullbacks.append
        value = self._linear_forward(X)
        self.a_prev, self.z = X, value
        keep(("linear", partial(self._linear_backward, (X, *self._weights()))))
        if described.batchnorm:
            value = self._normalise(value)
        if self._activation is not None and activate:
            value, pullback = self._activation.vjp(
                value, *self._learned_values(), **described.parameters
            )
            keep(("activation", pullback))
        if described.dropout:
            mask = dropout_mask(
                self._seed, self._number, step, value.shape, described.dropout, value.dtype
            )
            value, pullback = self._dropout.vjp(value, mask)
            keep(("dropout", pullback))
        self.a = value
        return value

    def _linear_forward(self, X: Array) -> Array:
        inputs = self.specification.inputs
        shape: tuple[int, ...] = getattr(X, "shape", ())
        # the arrays of CSR do not tell a kernel how many columns there are
        if self.specification.sparse and len(shape) == 2 and shape[1] != inputs:
            raise ValueError(f"sparse_linear: expected X of shape (N, {inputs}), got {shape}")
        value: Array = kernels.module(self._target, self._linear).forward(X, *self._weights())
        return value

    def _linear_backward(
        self, given: tuple[Array, ...], DY: Array, input_gradient: bool
    ) -> tuple[Array | None, Array, Array]:
        """DX, if it is wanted, DW and Db."""
        of_data = not input_gradient and not self.specification.sparse
        name = f"{self._linear}_of_data" if of_data else self._linear
        named = dict(zip(kernels.face(self._linear).arrays, given, strict=True))
        saved = (named[need] for need in kernels.face(name).saves)
        *DX, DW, Db = kernels.module(self._target, name).backward(DY, *saved)
        return DX[0] if DX else None, DW, Db

    def _weights(self) -> tuple[Array, ...]:
        """What the linear kernel takes behind X."""
        if not self.specification.sparse:
            return (self.W, self.b)
        return (*(self.parameters[f"W.{part}"] for part in ("values", "indices", "indptr")), self.b)

    def _learned_values(self) -> list[Any]:
        """The activation's parameters as its kernel takes them: rows, or single numbers."""
        single = self.specification.activation in kernels.LEARNED_NUMBERS
        own = (self.parameters[name] for name in self._learned)
        return [float(array[0]) if single else array for array in own]

    def _normalise(self, X: Array) -> Array:
        """Batch normalisation with the batch's statistics, which the running ones follow."""
        gamma, beta = self.parameters["gamma"], self.parameters["beta"]
        Y: Array
        Y, mu, inv_std = self._batchnorm.forward(X, gamma, beta, BATCHNORM_EPSILON)
        variance = np.maximum(inv_std.astype(np.float64) ** -2 - BATCHNORM_EPSILON, 0)
        for name, new in (("mean", mu), ("variance", variance)) if len(X) else ():
            running = self.statistics[name]
            running *= BATCHNORM_MOMENTUM
            running += ((1 - BATCHNORM_MOMENTUM) * new).astype(running.dtype)

        def pullback(DY: Array) -> Any:
            return self._batchnorm.backward(DY, X, gamma, inv_std, mu)

        self._pullbacks.append(("batchnorm", pullback))
        return Y

    def backward(self, DA: Array, input_gradient: bool = True) -> Array | None:
        """The gradient of the input, (N, n_in), from that of the output; DW, Db ... are kept.

        input_gradient: False for a layer of data, whose gradient nobody needs; returns None.
        """
        if not self._pullbacks:
            raise RuntimeError("backward needs a forward pass with training=True before it")
        gradient: Array | None = DA
        del DA  # so that no gradient lives longer than the next one needs it
        while self._pullbacks:
            part, pullback = self._pullbacks.pop()
            found = pullback(gradient, input_gradient) if part == "linear" else pullback(gradient)
            if part == "linear" and self.traced and self.a_prev is not None and gradient is not None:
                self._trace = self.a_prev, gradient
            del gradient
            if part == "linear":
                name = "W.values" if self.specification.sparse else "W"
                gradient, self.gradients[name], self.gradients["b"] = found
            elif part == "batchnorm":
                gradient, self.gradients["gamma"], self.gradients["beta"] = found
            elif part == "activation" and self._learned:
                gradient = found[0]
                for name, own in zip(self._learned, found[1:], strict=True):
                    like = self.parameters[name]
                    self.gradients[name] = np.asarray(own, like.dtype).reshape(like.shape)
            else:
                gradient = found
            del found
        return gradient

    def weight_gradient(self, first: int, last: int) -> Array:
        """Rows of the gradient of W as if all weights were there, of the last batch while `traced`."""
        if self._trace is None:
            raise RuntimeError("gradients of absent weights need a step of training before them")
        X, DZ = self._trace
        rows: Array = DZ[:, first:last].T @ X
        return rows

    def forget(self) -> None:
        """Let go of what the last forward pass kept."""
        self._pullbacks.clear()
        self.a_prev = self.z = self.a = None


def shapes(described: Specification) -> dict[str, tuple[int, ...]]:
    """The parameters of a network and their shapes."""
    found: dict[str, tuple[int, ...]] = {}
    for number, layer in enumerate(described.layers, start=1):
        prefix, K = f"layer{number}.", layer.outputs
        if K * layer.inputs > _MOST_ENTRIES:
            raise OverflowError(
                f"layer {number}: {K} x {layer.inputs} weights are more than any memory holds"
            )
        if layer.sparse:
            found[f"{prefix}W.values"] = found[f"{prefix}W.indices"] = (layer.count,)
            found[f"{prefix}W.indptr"] = (K + 1,)
        else:
            found[f"{prefix}W"] = (K, layer.inputs)
        found[f"{prefix}b"] = (K,)
        if layer.batchnorm:
            found[f"{prefix}gamma"] = found[f"{prefix}beta"] = (K,)
        for name, shape in kernels.learned_shapes(layer.activation, K).items():
            found[f"{prefix}{name}"] = shape
    return found


def initial_arrays(
    described: Specification, patterns: Mapping[int, Support] | None = None
) -> dict[str, Array]:
    """The parameters of a network before training: weights by its initialiser, seeded.

    patterns: the supports of layers 1, 2, ... that are given. Of a sparse layer nothing is made but
    what it keeps; orthogonal weights alone are those of a dense matrix.
    """
    wanted = shapes(described)
    rng = np.random.Generator(np.random.PCG64(described.seed))
    dtype = np.dtype(described.dtype)
    arrays: dict[str, Array] = {}
    before: tuple[str, Mapping[str, float]] | None = None
    for number, layer in enumerate(described.layers, start=1):
        prefix, K = f"layer{number}.", layer.outputs
        drawn = initialisers.distribution(
            described.init, described.init_parameters, K, layer.inputs, before
        )
        before = (layer.activation, layer.parameters)
        if layer.sparse:
            given = (patterns or {}).get(number)
            support = given.copy() if given is not None else draw(layer, rng)
            arrays[f"{prefix}W.indptr"] = support.indptr
            arrays[f"{prefix}W.indices"] = support.indices
            values = np.empty(support.count, dtype)
            arrays[f"{prefix}W.values"] = values
            # fewer inputs a unit: what scales with the number of inputs is scaled up for it
            fewer = initialisers.scales(described.init) and support.count
            scale = math.sqrt(1 / support.density) if fewer else 1.0
            if isinstance(drawn, initialisers.Orthogonal):
                dense = drawn.draw(rng, (K, layer.inputs))
                values[:] = dense[support.rows, support.indices] * scale
            else:
                initialisers.fill(drawn, rng, values, scale)
        else:
            arrays[f"{prefix}W"] = np.empty((K, layer.inputs), dtype)
            initialisers.fill(drawn, rng, arrays[f"{prefix}W"])
        arrays[f"{prefix}b"] = np.zeros(K, dtype)
        if layer.batchnorm:
            arrays[f"{prefix}gamma"] = np.ones(K, dtype)
            arrays[f"{prefix}beta"] = np.zeros(K, dtype)
        for name, value in kernels.LEARNED.get(layer.activation, {}).items():
            shape = kernels.learned_shapes(layer.activation, K)[name]
            arrays[f"{prefix}{name}"] = np.full(shape, value, dtype)
    return {name: arrays[name] for name in wanted}
