"""SciPy's CSR products; gradients of weights as dense products of a few rows, then sampled."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.sparse import csr_array

from .problem import Array, Problem


class Sampled:
    """Gradient descent, features by samples; SciPy's sparse products run on one thread."""

    def __init__(self, problem: Problem) -> None:
        self.rate = np.float32(problem.learning_rate)
        self.X = np.ascontiguousarray(problem.X.T)
        self.labels = problem.labels
        self.T = np.ascontiguousarray(np.eye(problem.sizes[-1], dtype=np.float32)[problem.labels].T)
        self.W = [csr_array((W.values.copy(), W.indices, W.indptr), W.shape) for W in problem.csr()]
        self.b = [np.zeros((W.shape[0], 1), np.float32) for W in self.W]
        self.places = [block_places(W) for W in self.W]

    def forward(self) -> list[Array]:
        A = [self.X]
        for number, (W, b) in enumerate(zip(self.W, self.b, strict=True), start=1):
            Z = W @ A[-1]
            Z += b
            A.append(np.maximum(Z, 0, out=Z) if number < len(self.W) else Z)
        return A

    def step(self) -> None:
        A = self.forward()
        D = np.exp(A[-1] - A[-1].max(axis=0))
        D /= D.sum(axis=0)
        D -= self.T
        D /= np.float32(D.shape[1])
        for number in reversed(range(len(self.W))):
            W, DW = self.W[number], np.empty_like(self.W[number].data)
            for rows, own, places in self.places[number]:
                np.take(D[rows] @ A[number].T, places, out=DW[own], mode="clip")
            Db = D.sum(axis=1, keepdims=True)
            if number:
                D = W.T @ D
                D *= A[number] > 0
            W.data -= self.rate * DW
            self.b[number] -= self.rate * Db

    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.step()
        return None

    def loss(self) -> float:
        Z = self.forward()[-1].T.astype(np.float64)
        Z -= Z.max(1, keepdims=True)
        return float((np.log(np.exp(Z).sum(1)) - Z[np.arange(len(Z)), self.labels]).mean())


def block_places(W: Any) -> list[tuple[slice, slice, Array]]:
    """Blocks of a tenth of the rows: their rows, their weights, and where those are in the block."""
    K, D = W.shape
    height = max(4, K // 10)
    found = []
    for first in range(0, K, height):
        last = min(first + height, K)
        own = slice(int(W.indptr[first]), int(W.indptr[last]))
        row = np.repeat(np.arange(last - first), np.diff(W.indptr[first : last + 1]))
        found.append((slice(first, last), own, row * D + W.indices[own]))
    return found


def sampled(problem: Problem) -> Sampled:
    """Gradient descent only."""
    return Sampled(problem)
