"""PyTorch, dense: eager, masked and compiled. Adam is the fused one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from .problem import Problem


class Dense:
    """Linear and ReLU modules, autograd, an optimizer of torch.optim."""

    def __init__(self, problem: Problem, fused: bool = True) -> None:
        torch.set_num_threads(problem.threads)
        weights = problem.dense()
        self.linear = [nn.Linear(W.shape[1], W.shape[0]) for W in weights]
        modules: list[nn.Module] = []
        for linear, W in zip(self.linear, weights, strict=True):
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(W))
                linear.bias.zero_()
            modules += [linear, nn.ReLU()]
        self.net: Any = nn.Sequential(*modules[:-1])
        self.optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(self.net.parameters(), lr=problem.learning_rate, fused=fused)
            if problem.optimizer == "adam"
            else torch.optim.SGD(self.net.parameters(), lr=problem.learning_rate)
        )
        self.X, self.labels = torch.from_numpy(problem.X), torch.from_numpy(problem.labels)

    def forward(self) -> Any:
        return nn.functional.cross_entropy(self.net(self.X), self.labels)

    def update(self) -> None:
        self.optimizer.step()

    def run(self, steps: int) -> object:
        for _ in range(steps):
            self.optimizer.zero_grad()
            self.forward().backward()
            self.update()
        return None

    def loss(self) -> float:
        with torch.no_grad():
            return float(self.forward())


class Masked(Dense):
    """Sparse by multiplying dense weights with zeros and ones after every update."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.masks = [(linear.weight != 0).float() for linear in self.linear]

    def update(self) -> None:
        super().update()
        with torch.no_grad():
            for linear, mask in zip(self.linear, self.masks, strict=True):
                linear.weight.mul_(mask)


class Compiled(Dense):
    """Both the loss and the update go through torch.compile."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem, fused=False)
        self.forward: Callable[[], Any] = torch.compile(super().forward)
        self.update: Callable[[], None] = torch.compile(super().update)


def dense(problem: Problem) -> Dense:
    """Eager."""
    return Dense(problem)


def masked(problem: Problem) -> Masked:
    """Eager, with masks."""
    return Masked(problem)


def compiled(problem: Problem) -> Compiled:
    """torch.compile."""
    return Compiled(problem)
