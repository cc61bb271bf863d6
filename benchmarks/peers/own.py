"""Gradwright's engine; it gathers the batch from the rows of a data set in every step."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import numpy as np

from gradwright.backends import cpp
from gradwright.specification import specify

from .problem import Array, Problem

STEPS_BETWEEN = 10  # two moves of weights


class Network:
    """Whole epochs in C++."""

    def __init__(self, problem: Problem, dtype: str = "float32") -> None:
        hidden = ["relu"] * (len(problem.sizes) - 2)
        spec = specify(
            problem.sizes, [*hidden, "softmax"], optimizer=problem.optimizer,
            density=problem.density, dtype=dtype,
        )  # fmt: skip
        arrays: dict[str, Array] = {k: v for k, v in problem.arrays.items() if k.startswith("layer")}
        for number, outputs in enumerate(problem.sizes[1:], start=1):
            arrays[f"layer{number}.b"] = np.zeros(outputs, np.float32)
        self.engine = cpp.Engine(spec, arrays, problem.threads)
        self._problem, self._order = problem, np.arange(problem.batch)

    def run(self, steps: int) -> object:
        own = self._problem
        rates = np.full(steps, own.learning_rate)
        return self.engine.epoch(own.X, own.labels, np.tile(self._order, steps), own.batch, rates)

    def loss(self) -> float:
        return self.engine.evaluate(self._problem.X, self._problem.labels)


class Rewired(Network):
    """A run moves the share of weights of `rule` so many times, each time after some training."""

    def __init__(self, problem: Problem, **rule: Any) -> None:
        from gradwright.sparse import Rewiring

        super().__init__(problem)
        self._rewiring = Rewiring(**rule)
        self._rewiring.on_train_begin(SimpleNamespace(backend=self.engine))

    def run(self, steps: int) -> float:
        seconds = 0.0
        for _ in range(steps):
            self._begin_anew()
            super().run(STEPS_BETWEEN)
            start = time.perf_counter()
            self._rewiring.apply(self.engine)
            seconds += time.perf_counter() - start
        return seconds

    def _begin_anew(self) -> None:
        """Initial values for all weights: those that began last would be the least, and end again."""
        for name, values in self.engine.parameters().items():
            if name.endswith(".W.values"):
                values[:] = self._problem.arrays[name]


def network(problem: Problem) -> Network:
    """The network as it is, dense or sparse."""
    return Network(problem)


def dense_network(problem: Problem) -> Network:
    """All weights, also those that do not exist."""
    arrays = {name: problem.arrays[name] for name in ("X", "labels")}
    weights = {f"layer{n}.W": W for n, W in enumerate(problem.dense(), start=1)}
    return Network(replace(problem, density=1.0, arrays=arrays | weights))


def set_random(problem: Problem) -> Rewired:
    """Prune and grow as SET: smallest positive and negative weights, random places."""
    return Rewired(problem, prune="set", grow="random")


def snfs(problem: Problem) -> Rewired:
    """Prune and grow as SNFS: smallest weights, largest momentum of watched places."""
    return Rewired(problem, prune="magnitude", grow="momentum")


def rigl(problem: Problem) -> Rewired:
    """Prune and grow as RigL: smallest weights, largest gradients."""
    return Rewired(problem, prune="magnitude", grow="gradient")
