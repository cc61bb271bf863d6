"""NumPy with its own BLAS, written with care: results in place, no copy that can be avoided."""

from __future__ import annotations

import numpy as np

from .problem import Array, Problem


class Dense:
    """Rows are samples, W is (outputs, inputs)."""

    def __init__(self, problem: Problem) -> None:
        self.X, self.labels = problem.X, problem.labels
        self.T = np.eye(problem.sizes[-1], dtype=np.float32)[problem.labels]
        self.W = problem.dense()
        self.b = [np.zeros(len(W), np.float32) for W in self.W]
        self.rate, self.t = problem.learning_rate, 0
        self.adam = problem.optimizer == "adam"
        parameters = [*self.W, *self.b] if self.adam else []
        self.m, self.v = ([np.zeros_like(p) for p in parameters] for _ in range(2))

    def forward(self) -> list[Array]:
        A = [self.X]
        for number, (W, b) in enumerate(zip(self.W, self.b, strict=True), start=1):
            Z = A[-1] @ W.T
            Z += b
            A.append(np.maximum(Z, 0, out=Z) if number < len(self.W) else Z)
        return A

    def update(self, place: int, theta: Array, g: Array) -> None:
        """Overwrites g."""
        if not self.adam:
            g *= np.float32(self.rate)
            theta -= g
            return
        m, v, f = self.m[place], self.v[place], np.float32
        m *= f(0.9)
        m += f(0.1) * g
        v *= f(0.999)
        np.square(g, out=g)
        g *= f(0.001)
        v += g
        np.sqrt(v, out=g)
        g *= f(1 / np.sqrt(1 - 0.999**self.t))
        g += f(1e-8)
        np.divide(m, g, out=g)
        g *= f(self.rate / (1 - 0.9**self.t))
        theta -= g

    def step(self) -> None:
        self.t += 1
        A = self.forward()
        D = A[-1]
        D -= D.max(1, keepdims=True)
        np.exp(D, out=D)
        D /= D.sum(1, keepdims=True)
        D -= self.T
        D /= np.float32(len(D))
        count = len(self.W)
        for number in reversed(range(count)):
            DW, Db = D.T @ A[number], D.sum(0)
            if number:
                D = D @ self.W[number]
                D *= A[number] > 0
            self.update(number, self.W[number], DW)
            self.update(count + number, self.b[number], Db)

    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.step()
        return None

    def loss(self) -> float:
        Z = self.forward()[-1].astype(np.float64)
        Z -= Z.max(1, keepdims=True)
        return float((np.log(np.exp(Z).sum(1)) - Z[np.arange(len(Z)), self.labels]).mean())


def dense(problem: Problem) -> Dense:
    """Gradient descent or Adam."""
    return Dense(problem)
