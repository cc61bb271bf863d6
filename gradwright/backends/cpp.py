"""The training engine in C++: whole epochs without Python, dense and sparse layers."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any

import numpy as np

from gradwright import _engine, _kernels, kernels
from gradwright.backends.composed import Loss
from gradwright.sparse.moves import Move, carried, shares
from gradwright.sparse.supports import Support
from gradwright.specification import LayerSpecification, Specification

Array = np.ndarray[Any, np.dtype[Any]]

_ROWS = 256  # of an inference batch: bounds the memory of activations


def runs(specification: Specification) -> bool:
    """Whether the engine has all kernels of a network; `Composed` runs the others."""
    named = {layer.activation for layer in specification.layers} - {"identity"}
    known = set(_engine.names())
    return named | {specification.loss_kernel, specification.optimizer} <= known


class Engine:
    """A network in `gradwright._engine`; see `gradwright.backends.Backend`.

    Activations live feature-major, `(features, samples)`, in memory that is kept from step to step.
    A step is one parallel region; gradients of all layers come first, then all updates, so a step
    with an infinite or NaN gradient is refused before it changes anything.
    """

    def __init__(
        self,
        specification: Specification,
        arrays: Mapping[str, Array],
        threads: int | None = None,
        copy: bool = True,
    ) -> None:
        self.specification = specification
        self._dtype = np.dtype(specification.dtype)
        self._parameters = {
            name: np.array(array, order="C", copy=copy or None) for name, array in arrays.items()
        }
        self._state: dict[str, Array] = {"step": np.zeros(1, np.int64)}
        self.threads = threads or _kernels.threads()
        self._loss = Loss("cpp", specification)
        self._states: dict[str, list[Array]] = {}
        self._waiting: int | None = None  # samples whose backward pass has not been
        self._moved: set[str] = set()  # weights that have no gradient since they moved
        rule = kernels.face(specification.optimizer)
        initial_state = getattr(kernels.module("cpp", rule.name), "initial_state", None)
        for name, theta in self._parameters.items():
            found = (
                initial_state(theta)
                if theta.dtype.kind == "f" and initial_state and len(rule.arrays) > 2
                else ()
            )
            self._states[name] = list(found)
            for field, array in zip(getattr(found, "_fields", ()), found, strict=True):
                self._state[f"{name}.{field}"] = array
        for number, layer in enumerate(specification.layers, start=1):
            if layer.batchnorm:
                self._state[f"layer{number}.mean"] = np.zeros(layer.outputs, self._dtype)
                self._state[f"layer{number}.variance"] = np.ones(layer.outputs, self._dtype)
        kind = _engine.Network32 if self._dtype == np.float32 else _engine.Network64
        described = [self._layer(n, layer) for n, layer in enumerate(specification.layers, start=1)]
        self._network = kind(described, self._options(), self._state["step"])
        for number, given in enumerate(described, start=1):
            if given.pop("indices", None) is not None:  # the engine has its own, shorter ones
                del self._parameters[f"layer{number}.W.indices"]

    def _layer(self, number: int, layer: LayerSpecification) -> dict[str, Any]:
        prefix = f"layer{number}."
        values = f"{prefix}W.values" if layer.sparse else f"{prefix}W"
        names = {"W": values} | {n: prefix + n for n in ("b", "gamma", "beta", "mean", "variance")}
        own = self._parameters | self._state
        on_logits = number == len(self.specification.layers) and self.specification.loss_on_logits
        activation = None if layer.activation == "identity" or on_logits else layer.activation
        found: dict[str, Any] = {
            "inputs": layer.inputs, "outputs": layer.outputs, "batchnorm": layer.batchnorm,
            "dropout": layer.dropout, "activation": activation,
            "hyperparameters": _values(layer.activation, layer.parameters),
            "arrays": {n: own[full] for n, full in names.items() if full in own},
            "states": {n: self._states.get(full, []) for n, full in names.items()},
        }  # fmt: skip
        if layer.sparse:
            found |= {n: own[f"{prefix}W.{n}"] for n in ("indptr", "indices")}
        return found

    def _options(self) -> dict[str, Any]:
        spec, last = self.specification, self.specification.layers[-1]
        return {
            "loss": spec.loss_kernel,
            "loss_hyperparameters": _values(spec.loss_kernel, spec.loss_parameters),
            "optimizer": spec.optimizer,
            "optimizer_hyperparameters": _values(spec.optimizer, spec.optimizer_parameters),
            "output": last.activation if spec.loss_on_logits else None,
            "output_hyperparameters": _values(last.activation, last.parameters),
            "weight_decay": spec.weight_decay, "clip_norm": spec.clip_norm or 0.0,
            "seed": spec.seed, "threads": self.threads,
        }  # fmt: skip

    def describe(self) -> str:
        """One line that says what runs."""
        return f"C++ engine, {self.threads} thread{'s' if self.threads > 1 else ''}"

    def parameters(self) -> dict[str, Array]:
        """The trained arrays, live; places of weights are read-only, for the engine has its own."""
        found = {}
        for name, array in self._parameters.items():
            found[name] = array
            if name.endswith(".W.values"):
                number = int(name.split(".")[0].removeprefix("layer"))
                found[f"layer{number}.W.indices"] = _read_only(self._network.indices(number))
            elif name.endswith(".W.indptr"):
                found[name] = _read_only(array)
        return found

    def state(self) -> dict[str, Array]:
        """Steps made, states of the optimizer, running statistics; live."""
        return dict(self._state)

    def gradients(self) -> dict[str, Array]:
        """The gradients of the last batch. An epoch makes those of dense weights in passing: none."""
        found = {}
        for name, theta in self._parameters.items():
            if theta.dtype.kind != "f" or name in self._moved:
                continue
            layer, own = name.split(".")[:2]
            gradient = self._network.gradient(int(layer.removeprefix("layer")), own)
            if gradient.size == theta.size:
                found[name] = gradient.reshape(theta.shape)
        return found

    def values(self, number: int) -> tuple[Array | None, Array | None, Array | None]:
        """Copies of a layer's input, linear map and output for the last batch of `forward` in training."""
        a_prev, z, a = (self._network.value(number, name) for name in ("a_prev", "z", "a"))
        return a_prev, z, a

    def _require_several(self, count: int) -> None:
        """A variance over a batch is one of two samples at least."""
        if count == 1 and any(layer.batchnorm for layer in self.specification.layers):
            raise ValueError("batchnorm: expected more than one sample, got 1")

    def support(self, number: int) -> Support:
        """Where the weights of a sparse layer are."""
        layer, own = self.specification.layers[number - 1], f"layer{number}.W."
        shape = (layer.outputs, layer.inputs)
        # moves write into the array of row starts
        return Support(shape, self._parameters[f"{own}indptr"].copy(), self._network.indices(number))

    def rewire(self, move: Move) -> None:
        """Give up weights and begin others; what stays keeps its value and the optimizer's states.

        Arrays of layers whose number of weights changes are new ones, and so is `specification`.
        """
        move = move.of(self.specification)
        numbers, network = list(move.layers), self._network
        lost = network.prune(numbers, move.lost, move.prune, move.threshold)
        step = int(self._state["step"][0])
        free = [self._layers(n).inputs * self._layers(n).outputs - self._count(n) for n in numbers]
        grown = [0] * len(numbers)
        wanted = min(sum(lost) if move.grown is None else move.grown, sum(free))
        if move.grow == "random":
            kept = [self._count(n) - gone for n, gone in zip(numbers, lost, strict=True)]
            grown = shares(wanted, kept, free)
            for number, count in zip(numbers, grown, strict=True):
                network.grow_at_random(number, count, self.specification.seed, step)
        elif wanted:
            by = network.grow_by_gradient if move.grow == "gradient" else network.grow_by_momentum
            grown = by(numbers, wanted)
        for number, gone, new in zip(numbers, lost, grown, strict=True):
            self._move(number, self._count(number) - gone + new)

    def _move(self, number: int, count: int) -> None:
        """The arrays after the change that the network holds, in place where they fit."""
        own = f"layer{number}.W."
        indptr = self._parameters[f"{own}indptr"]
        arrays = [self._parameters[f"{own}values"], *self._states[f"{own}values"]]
        if count != self._count(number):
            arrays = [np.empty(count, array.dtype) for array in arrays]
        self._network.move(number, indptr, arrays[0], arrays[1:])
        self._keep(number, indptr, *arrays)

    def replace(self, number: int, support: Support, values: Array) -> None:
        """Other weights for a sparse layer; where there was one already, states are kept."""
        own = f"layer{number}.W."
        old = self.support(number)
        states = [carried(old, support, state) for state in self._states[f"{own}values"]]
        indptr, values = support.indptr.copy(), np.array(values, self._dtype)
        self._network.replace(number, indptr, support.indices, values, states)
        self._keep(number, indptr, values, *states)

    def _keep(self, number: int, indptr: Array, values: Array, *states: Array) -> None:
        """Remember the arrays of a sparse layer, and its density."""
        own = f"layer{number}.W."
        self._parameters[f"{own}indptr"] = indptr
        self._parameters[f"{own}values"] = values
        self._states[f"{own}values"] = list(states)
        self._moved.add(f"{own}values")
        names = kernels.face(self.specification.optimizer).arrays[2:]
        for name, state in zip(names, states, strict=bool(states)):
            self._state[f"{own}values.{name}"] = state
        self.specification = self.specification.with_count(number, len(values))

    def _layers(self, number: int) -> LayerSpecification:
        return self.specification.layers[number - 1]

    def _count(self, number: int) -> int:
        return len(self._parameters[f"layer{number}.W.values"])

    def trace(self, on: bool) -> None:
        """Whether to keep what gradients of absent weights are made of, from now on."""
        self._network.trace(on)

    def watch(self, number: int, count: int, beta: float) -> None:
        """Average the gradients of so many places without a weight, at random, from now on."""
        layer = self._layers(number)
        count = min(count, layer.inputs * layer.outputs - self._count(number))
        step, seed = int(self._state["step"][0]), self.specification.seed
        momentum = np.zeros(count, self._dtype)
        indptr, indices = self._network.watch_absent(number, seed, step, momentum, beta)
        self._keep_watched(number, indptr, indices, momentum, beta)

    def restore_watched(
        self, number: int, indptr: Array, indices: Array, momentum: Array, beta: float
    ) -> None:
        """Average the gradients of these places from now on."""
        self._network.watch(number, indptr, indices, momentum, beta)
        self._keep_watched(number, indptr, indices, momentum, beta)

    def _keep_watched(
        self, number: int, indptr: Array, indices: Array, momentum: Array, beta: float
    ) -> None:
        own = f"layer{number}.W.watched."
        self._state[f"{own}indptr"], self._state[f"{own}indices"] = indptr, indices
        self._state[f"{own}momentum"] = momentum
        self._state[f"{own}beta"] = np.array([beta], np.float64)

    def weight_gradient(self, number: int, first: int, last: int) -> Array:
        """Rows first, ..., last - 1 of the dense gradient of W for the last batch of training."""
        rows = np.empty((last - first, self.specification.layers[number - 1].inputs), self._dtype)
        self._network.weight_gradient(number, first, rows)
        return rows

    def forward(self, X: Array, training: bool = False, activate: bool = True) -> Array:
        """The output of the network for every row of X."""
        X = np.ascontiguousarray(X)
        if training:
            self._require_several(len(X))
        self._waiting = len(X) if training else None
        Y = np.empty((len(X), self.specification.sizes[-1]), self._dtype)
        rows = max(len(X), 1) if training else _ROWS
        for first in range(0, len(X), rows):
            part = slice(first, first + rows)
            self._network.forward(X[part], Y[part], training, activate)
        return Y

    def backward(self, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss; gradients are kept."""
        if self._waiting is None:
            raise RuntimeError("backward needs a forward pass with training=True before it")
        if self._waiting == 0:
            raise ValueError(f"{self.specification.loss_kernel}: expected at least one sample, got 0")
        for name, given in (("targets", targets), ("weights", sample_weight)):
            if given is not None and len(given) != self._waiting:
                raise ValueError(f"expected {self._waiting} {name}, one a sample, got {len(given)}")
        self._waiting = None
        loss: float = self._network.backward(np.ascontiguousarray(targets), sample_weight)
        self._moved.clear()
        return loss

    def evaluate(self, X: Array, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss at inference."""
        return self._loss(self.forward(X, activate=False), targets, sample_weight)[0]

    def update(self, learning_rate: float) -> None:
        """One step of the optimizer with the kept gradients."""
        try:
            kernels.check_number("learning_rate", learning_rate, 0)
        except (TypeError, ValueError) as error:
            raise type(error)(f"{self.specification.optimizer}: {error}") from None
        self._network.update(learning_rate)

    def epoch(
        self,
        X: Array,
        targets: Array,
        order: Array,
        batch_size: int,
        learning_rates: Array,
        sample_weight: Array | None = None,
        losses: Array | None = None,
    ) -> Array:
        """Train on all batches of `order` and return their losses; Python's lock is released."""
        if losses is None:
            losses = np.empty(len(learning_rates))
        self._waiting = None
        self._moved.clear()
        self._require_several(min(batch_size, (len(order) - 1) % batch_size + 1))
        self._network.epoch(
            np.ascontiguousarray(X), np.ascontiguousarray(targets),
            np.ascontiguousarray(order, np.int64), batch_size,
            np.ascontiguousarray(learning_rates, np.float64), sample_weight, losses,
            threading.current_thread() is threading.main_thread(),
        )  # fmt: skip
        return losses


def _read_only(array: Array) -> Array:
    seen = array.view()
    seen.flags.writeable = False
    return seen


def _values(name: str, given: Mapping[str, float]) -> dict[str, float]:
    """All hyperparameters of a kernel: the given ones, defaults for the others."""
    if name == "identity":
        return {}
    return {**kernels.face(name).hyperparameters, **given}
