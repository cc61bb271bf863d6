"""JAX: one jitted step that gives its buffers back; steps are awaited at the end of a run."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from .problem import Problem


class Dense:
    """Gradient descent or Adam, written as JAX's own examples are."""

    def __init__(self, problem: Problem) -> None:
        rate, last = problem.learning_rate, len(problem.sizes) - 2
        self.X, self.labels = jnp.asarray(problem.X), jnp.asarray(problem.labels)

        def loss_of(parameters: Any, X: Any, labels: Any) -> Any:
            H = X
            for number, (W, b) in enumerate(parameters):
                H = H @ W + b
                H = jax.nn.relu(H) if number < last else H
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(H), labels[:, None], 1))

        def descend(state: Any, X: Any, labels: Any) -> Any:
            (parameters,) = state
            found = jax.grad(loss_of)(parameters, X, labels)
            return (jax.tree.map(lambda p, g: p - rate * g, parameters, found),)

        def adam(state: Any, X: Any, labels: Any) -> Any:
            parameters, m, v, t = state
            found = jax.grad(loss_of)(parameters, X, labels)
            t = t + 1
            m = jax.tree.map(lambda a, g: 0.9 * a + 0.1 * g, m, found)
            v = jax.tree.map(lambda a, g: 0.999 * a + 0.001 * g * g, v, found)
            own, others = 1 - 0.9**t, 1 - 0.999**t

            def moved(p: Any, a: Any, b: Any) -> Any:
                return p - rate * (a / own) / (jnp.sqrt(b / others) + 1e-8)

            return jax.tree.map(moved, parameters, m, v), m, v, t

        W = [(jnp.asarray(np.ascontiguousarray(w.T)), jnp.zeros(len(w))) for w in problem.dense()]
        self.state: Any = (W,)
        if problem.optimizer == "adam":
            zeros = (jax.tree.map(jnp.zeros_like, W) for _ in range(2))
            self.state = (W, *zeros, jnp.float32(0))
        step = adam if problem.optimizer == "adam" else descend
        self.step = jax.jit(step, donate_argnums=0)
        self.loss_of = jax.jit(loss_of)

    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.state = self.step(self.state, self.X, self.labels)
        return jax.tree.map(lambda array: array.block_until_ready(), self.state)

    def loss(self) -> float:
        return float(self.loss_of(self.state[0], self.X, self.labels))


def dense(problem: Problem) -> Dense:
    """On the CPU."""
    return Dense(problem)
