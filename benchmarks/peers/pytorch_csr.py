"""PyTorch's CSR tensors, features by samples, with sampled_addmm for the gradient of weights."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch

from .problem import Csr, Problem


def _tensor(W: Csr) -> Any:
    indptr, indices = (torch.from_numpy(a.astype(np.int32)) for a in (W.indptr, W.indices))
    return torch.sparse_csr_tensor(indptr, indices, torch.from_numpy(W.values.copy()), W.shape)


class Sampled:
    """Gradient descent; the transposed matrix is kept too and gets its values after an update."""

    def __init__(self, problem: Problem) -> None:
        torch.set_num_threads(problem.threads)
        self.rate = problem.learning_rate
        self.X = torch.from_numpy(np.ascontiguousarray(problem.X.T))
        onehot = np.eye(problem.sizes[-1], dtype=np.float32)[problem.labels]
        self.T = torch.from_numpy(np.ascontiguousarray(onehot.T))
        self.layers = []
        for W in problem.csr():
            turned, order = W.transposed()
            bias = torch.zeros(W.shape[0], 1)
            self.layers.append((_tensor(W), _tensor(turned), torch.from_numpy(order), bias))

    def forward(self) -> list[Any]:
        A = [self.X]
        for number, (W, _, _, b) in enumerate(self.layers, start=1):
            Z = W @ A[-1]
            Z += b
            A.append(Z.clamp_(min=0) if number < len(self.layers) else Z)
        return A

    def step(self) -> None:
        A = self.forward()
        D = torch.softmax(A[-1], 0)
        D -= self.T
        D /= D.shape[1]
        for number in reversed(range(len(self.layers))):
            W, turned, order, b = self.layers[number]
            DW = torch.sparse.sampled_addmm(W, D, A[number].t(), beta=0.0)
            Db = D.sum(1, keepdim=True)
            if number:
                D = turned @ D
                D *= A[number] > 0
            W.values().sub_(DW.values(), alpha=self.rate)
            b.sub_(Db, alpha=self.rate)
            if number:
                torch.index_select(W.values(), 0, order, out=turned.values())

    @torch.no_grad()
    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.step()
        return None

    @torch.no_grad()
    def loss(self) -> float:
        return float(-(torch.log_softmax(self.forward()[-1], 0) * self.T).sum(0).mean())


def sampled(problem: Problem) -> Sampled:
    """Gradient descent only."""
    return Sampled(problem)
