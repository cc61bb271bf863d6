"""A network layer by layer from the generated kernels of one target: "numpy" or "cpp"."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from gradwright import kernels
from gradwright.backends.interrupts import between_batches
from gradwright.layer import Layer
from gradwright.sparse.moves import Move, absent_spread, carried, carry, changes, moved
from gradwright.sparse.supports import Support, from_places
from gradwright.specification import Specification

Array = np.ndarray[Any, np.dtype[Any]]


class Composed:
    """The backend that calls one kernel after the other; see `gradwright.backends.Backend`."""

    def __init__(
        self,
        target: str,
        specification: Specification,
        arrays: Mapping[str, Array],
        copy: bool = True,
    ) -> None:
        self.specification = specification
        self._target = target
        self._parameters = {
            name: np.array(array, copy=copy or None) for name, array in arrays.items()
        }
        dtype = np.dtype(specification.dtype)
        self._state: dict[str, Array] = {"step": np.zeros(1, np.int64)}
        for number, described in enumerate(specification.layers, start=1):
            if described.batchnorm:
                self._state[f"layer{number}.mean"] = np.zeros(described.outputs, dtype)
                self._state[f"layer{number}.variance"] = np.ones(described.outputs, dtype)
        named = self._parameters | self._state
        self.layers = [
            Layer.of(described, target, named, specification.seed, number)
            for number, described in enumerate(specification.layers, start=1)
        ]
        self._loss = Loss(target, specification)
        self._optimizer = Optimizer(target, specification, self._parameters, self._state)
        self._output: Array | None = None
        self._watching: set[int] = set()

    def describe(self) -> str:
        """One line that says what runs."""
        return f"{self._target} kernels, layer by layer"

    def parameters(self) -> dict[str, Array]:
        """The trained arrays, live."""
        return dict(self._parameters)

    def state(self) -> dict[str, Array]:
        """Steps made, states of the optimizer, running statistics; live."""
        return dict(self._state)

    def gradients(self) -> dict[str, Array]:
        """The gradients of the last backward pass."""
        return dict(self._gradients())

    def _gradients(self) -> Iterator[tuple[str, Array]]:
        for name in self._parameters:
            layer, _, own = name.partition(".")
            gradients = self.layers[int(layer.removeprefix("layer")) - 1].gradients
            if own in gradients:
                yield name, gradients[own]

    # ---- Sparse layers whose weights move -------------------------------------------------------

    def support(self, number: int) -> Support:
        """Where the weights of a sparse layer are."""
        return self.layers[number - 1].support

    def trace(self, on: bool) -> None:
        """Whether to keep what gradients of absent weights are made of, from now on."""
        for number, layer in enumerate(self.layers, start=1):
            layer.traced = layer.specification.sparse and (on or number in self._watching)

    def weight_gradient(self, number: int, first: int, last: int) -> Array:
        """Rows first, ..., last - 1 of the dense gradient of W for the last batch of training."""
        return self.layers[number - 1].weight_gradient(first, last)

    def rewire(self, move: Move) -> None:
        """Give up weights and begin others; see `Engine.rewire`, which makes the same choices."""
        move = move.of(self.specification)
        for number, (lost, places) in zip(move.layers, changes(self, move), strict=True):
            support, source = moved(self.support(number), lost, places)
            own = f"layer{number}.W.values"
            states = [carry(state, source) for state in self._optimizer.states(own)]
            self._keep(number, support, carry(self._parameters[own], source), states)

    def replace(self, number: int, support: Support, values: Array) -> None:
        """Other weights for a sparse layer; where there was one already, states are kept."""
        own, old = f"layer{number}.W.values", self.support(number)
        states = [carried(old, support, state) for state in self._optimizer.states(own)]
        self._keep(number, support.copy(), np.array(values), states)

    def _keep(self, number: int, support: Support, values: Array, states: list[Array]) -> None:
        own, layer = f"layer{number}.W.", self.layers[number - 1]
        arrays = {"indptr": support.indptr, "indices": support.indices, "values": values}
        for part, array in arrays.items():
            self._parameters[f"{own}{part}"] = layer.parameters[f"W.{part}"] = array
        self._optimizer.replace(f"{own}values", values, states, self._state)
        self.specification = self.specification.with_count(number, len(values))
        layer.specification = self.specification.layers[number - 1]
        layer.gradients.pop("W.values", None)
        self._output = None  # what a backward pass would need is of the weights before

    def watch(self, number: int, count: int, beta: float) -> None:
        """Average the gradients of so many places without a weight, at random, from now on."""
        support, seed = self.support(number), self.specification.seed
        count = min(count, support.shape[0] * support.shape[1] - support.count)
        step = int(self._state["step"][0])
        places = absent_spread(support, count, (seed, number), step)
        watched = from_places(support.shape, places)
        momentum = np.zeros(count, self._parameters[f"layer{number}.W.values"].dtype)
        self.restore_watched(number, watched.indptr, watched.indices, momentum, beta)

    def restore_watched(
        self, number: int, indptr: Array, indices: Array, momentum: Array, beta: float
    ) -> None:
        """Average the gradients of these places from now on."""
        self._watching.add(number)
        self.layers[number - 1].traced = True
        parts = {"indptr": indptr, "indices": indices, "momentum": momentum, "beta": np.array([beta])}
        self._state |= {f"layer{number}.W.watched.{part}": array for part, array in parts.items()}

    def _follow_watched(self, number: int) -> None:
        own = f"layer{number}.W.watched."
        indptr, indices, momentum = (self._state[f"{own}{p}"] for p in ("indptr", "indices", "momentum"))
        beta = momentum.dtype.type(self._state[f"{own}beta"][0])
        for row in range(len(indptr) - 1):
            part = slice(indptr[row], indptr[row + 1])
            gradient = self.weight_gradient(number, row, row + 1)[0, indices[part]]
            momentum[part] = beta * momentum[part] + (1 - beta) * gradient

    def forward(self, X: Array, training: bool = False, activate: bool = True) -> Array:
        """The output of the network for every row of X."""
        step = int(self._state["step"][0])
        value = X
        for layer in self.layers[:-1]:
            value = layer.forward(value, training, step)
        last = self.layers[-1]
        on_logits = self.specification.loss_on_logits
        value = last.forward(value, training, step, activate=not on_logits)
        if training:
            self._output = value
        if on_logits and activate:
            return self._loss.activate(value)
        return value

    def values(self, number: int) -> tuple[Array | None, Array | None, Array | None]:
        """Input, linear map and output of a layer for the last batch of `forward` in training."""
        layer = self.layers[number - 1]
        return layer.a_prev, layer.z, layer.a

    def backward(self, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss; gradients are kept."""
        if self._output is None:
            raise RuntimeError("backward needs a forward pass with training=True before it")
        loss, gradient = self._loss(self._output, targets, sample_weight)
        self._output = None
        passed: list[Any] = [gradient]  # handed on, not held: a layer may free what it no longer needs
        del gradient
        for number, layer in reversed(list(enumerate(self.layers, start=1))):
            layer.gradients.clear()
            passed.append(layer.backward(passed.pop(), input_gradient=number > 1))
        return loss

    def evaluate(self, X: Array, targets: Array, sample_weight: Array | None = None) -> float:
        """The loss at inference."""
        return self._loss(self.forward(X, activate=False), targets, sample_weight)[0]

    def update(self, learning_rate: float) -> None:
        """One step of the optimizer with the kept gradients."""
        gradients = dict(self._gradients())
        if len(gradients) < len(self._optimizer.trained):
            raise RuntimeError("update needs the gradients of a backward pass before it")
        self._optimizer.step(gradients, learning_rate)
        for number in self._watching:
            self._follow_watched(number)

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
        """Train on all batches of `order` and return their losses."""
        if losses is None:
            losses = np.empty(len(learning_rates))
        with between_batches() as pause:
            for number, learning_rate in enumerate(learning_rates):
                rows = order[number * batch_size : (number + 1) * batch_size]
                weight = None if sample_weight is None else sample_weight[rows]
                losses[number] = self._step(X[rows], targets[rows], weight, float(learning_rate))
                pause()
        return losses

    def _step(self, X: Array, targets: Array, weight: Array | None, learning_rate: float) -> float:
        """Forward, backward and update; where one of them fails no array of the network has changed."""
        running = [array for layer in self.layers for array in layer.statistics.values()]
        before = [array.copy() for array in running]
        try:
            self.forward(X, training=True, activate=False)
            loss = self.backward(targets, weight)
            if not math.isfinite(loss):
                raise FloatingPointError(f"the loss is {loss}")
            for layer in self.layers:
                layer.forget()
            self.update(learning_rate)
        except Exception:
            for array, kept in zip(running, before, strict=True):
                array[...] = kept
            raise
        return loss


class Loss:
    """The loss kernel of a network, with sample weights."""

    def __init__(self, target: str, specification: Specification) -> None:
        name = specification.loss_kernel
        self._averages = "reduction" in kernels.face(name).options
        self._kernel = kernels.module(target, name)
        self._parameters = dict(specification.loss_parameters)
        weighted = f"weighted_{name.removesuffix('_normalised')}"
        self._weighted = kernels.module(target, weighted) if weighted in kernels.names() else None
        self._classes = "class_weight" in kernels.face(weighted).arrays if self._weighted else False
        if specification.loss_on_logits:
            self._output = kernels.module(target, specification.layers[-1].activation)

    def activate(self, logits: Array) -> Array:
        """The output of a network whose loss works on logits."""
        output: Array = self._output.forward(logits)
        return output

    def __call__(self, Y: Array, T: Array, weight: Array | None) -> tuple[float, Array]:
        """The value for a batch, and its gradient, (N, K)."""
        if weight is None:
            value, pullback = self._kernel.vjp(Y, T, **self._parameters)
            return float(value), pullback(1.0)
        if not weight.any():
            return 0.0, np.zeros_like(Y)
        if self._averages:  # by the sum of the weights, where the kernel divides by their number
            total = weight.sum(dtype=np.float64)
            weight = (weight * (len(weight) / total)).astype(weight.dtype)
        if self._weighted is None:
            # losses without a weighted form are linear in their targets
            T = np.eye(Y.shape[1], dtype=Y.dtype)[T] if T.ndim == 1 else T
            value, pullback = self._kernel.vjp(Y, T * weight[:, None], **self._parameters)
        else:
            classes = (np.ones(Y.shape[1], Y.dtype),) if self._classes else ()
            value, pullback = self._weighted.vjp(Y, T, weight, *classes, **self._parameters)
        return float(value), pullback(1.0)


class Optimizer:
    """The optimizer kernel of a network, with weight decay and clipping by the global norm."""

    def __init__(
        self, target: str, specification: Specification, parameters: dict[str, Array],
        state: dict[str, Array],
    ) -> None:  # fmt: skip
        self._face = kernels.face(specification.optimizer)
        self._kernel = kernels.module(target, specification.optimizer)
        self._clip = kernels.module(target, "clip_by_global_norm")
        self._specification = specification
        self.trained = {name: a for name, a in parameters.items() if a.dtype.kind == "f"}
        self._step = state["step"]
        self._states: dict[str, tuple[Array, ...]] = {}
        for name, theta in self.trained.items():
            initial = self._kernel.initial_state(theta) if self._has_state() else ()
            self._states[name] = tuple(initial)
            for field, array in zip(getattr(initial, "_fields", ()), initial, strict=True):
                state[f"{name}.{field}"] = array

    def states(self, name: str) -> tuple[Array, ...]:
        """The states of a parameter."""
        return self._states[name]

    def replace(
        self, name: str, theta: Array, states: list[Array], state: dict[str, Array]
    ) -> None:
        """Other arrays for a parameter and its states, also in `state`."""
        self.trained[name], self._states[name] = theta, tuple(states)
        if states:
            names = self._face.arrays[2:]
            state |= {f"{name}.{own}": array for own, array in zip(names, states, strict=True)}

    def _has_state(self) -> bool:
        return len(self._face.arrays) > 2

    def step(self, gradients: dict[str, Array], learning_rate: float) -> None:
        """Update every parameter, or raise FloatingPointError and change nothing."""
        require_finite(gradients)
        described = self._specification
        scale = 1.0 if described.clip_norm is None else self._clipping(gradients, described.clip_norm)
        number = int(self._step[0]) + 1
        for name, theta in self.trained.items():
            g = gradients[name] if scale == 1.0 else gradients[name] * theta.dtype.type(scale)
            decays = name.endswith((".W", ".W.values"))
            if described.weight_decay and decays:
                g = g + theta.dtype.type(described.weight_decay) * theta
            options = dict(described.optimizer_parameters)
            if not decays and "weight_decay" in self._face.hyperparameters:
                options["weight_decay"] = 0.0
            if self._face.counts_steps:
                options["t"] = number
            states = self._states[name]
            out = (theta, *states) if states else theta
            self._kernel.update(
                theta, g, *states, learning_rate=learning_rate, **options, out=out
            )
        self._step[0] = number

    def _clipping(self, gradients: Mapping[str, Array], limit: float) -> float:
        """What all gradients are multiplied by: the gradient 1, clipped by the norm of them all."""
        square_norm = sum(self._square_norm(g) for g in gradients.values())
        clipped = self._clip.backward(1.0, np.ones((1, 1)), square_norm, limit)
        return float(clipped[0, 0])

    def _square_norm(self, gradient: Array) -> float:
        flat = gradient.reshape(1, -1)
        found = float(self._clip.forward(flat).square_norm)
        if not math.isfinite(found):
            found = float(self._clip.forward(flat.astype(np.float64)).square_norm)
        return found


def require_finite(gradients: Mapping[str, Array]) -> None:
    """FloatingPointError names a gradient that is infinite or NaN."""
    for name, g in gradients.items():
        if not math.isfinite(float(np.vdot(g, g))) and not np.isfinite(g).all():
            place = np.unravel_index(int(np.isfinite(g).argmin()), g.shape)
            index = ", ".join(str(k) for k in place)
            raise FloatingPointError(f"the gradient of {name}[{index}] is {g[place]}")
