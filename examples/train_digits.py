"""Train a small network on handwritten digits with nothing but generated kernels.

    python examples/train_digits.py --backend cpp --picture loss.png

The network is 64-128-64-10: linear layers with batch normalisation and ReLU, softmax cross entropy,
Adam, mini-batches of 64. Every forward and backward pass is a kernel of `gradwright.generated`.
"""

from __future__ import annotations

import argparse
import importlib
import itertools
import time
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
from rich.progress import track
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

SIZES = (64, 128, 64, 10)
MOMENTUM = 0.9


def kernel(backend: str, name: str) -> ModuleType:
    """The generated kernels of one layer: `gradwright.generated.numpy.relu`, for instance."""
    return importlib.import_module(f"gradwright.generated.{backend}.{name}")


@dataclass
class Parameter:
    """An array that is trained, with Adam's moments."""

    value: np.ndarray
    m: np.ndarray = field(init=False)
    v: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.m, self.v = np.zeros_like(self.value), np.zeros_like(self.value)


class Network:
    """Linear, batch normalisation and ReLU for each hidden layer, then a linear layer."""

    def __init__(self, backend: str, rng: np.random.Generator, dtype: type) -> None:
        names = ("linear", "batchnorm", "batchnorm_inference", "relu", "softmax_cross_entropy",
                 "adam")  # fmt: skip
        self.k = {name: kernel(backend, name) for name in names}
        self.steps = 0
        self.parameters: list[dict[str, Parameter]] = []
        self.statistics: list[dict[str, np.ndarray]] = []
        for inputs, outputs in itertools.pairwise(SIZES):
            he = np.sqrt(2 / inputs)
            self.parameters.append({
                "W": Parameter(rng.normal(0, he, (outputs, inputs)).astype(dtype)),
                "b": Parameter(np.zeros(outputs, dtype)),
                "gamma": Parameter(np.ones(outputs, dtype)),
                "beta": Parameter(np.zeros(outputs, dtype)),
            })  # fmt: skip
            self.statistics.append({"mean": np.zeros(outputs, dtype), "variance": np.ones(outputs, dtype)})

    def step(self, X: np.ndarray, labels: np.ndarray, learning_rate: float) -> float:
        """One mini-batch: forward, backward, update. Returns the loss."""
        pullbacks = []
        last = len(self.parameters) - 1
        for i, p in enumerate(self.parameters):
            X, pullback = self.k["linear"].vjp(X, p["W"].value, p["b"].value)
            pullbacks.append((i, ("W", "b"), pullback))
            if i < last:
                self._observe(i, X)
                X, pullback = self.k["batchnorm"].vjp(X, p["gamma"].value, p["beta"].value)
                pullbacks.append((i, ("gamma", "beta"), pullback))
                X, pullback = self.k["relu"].vjp(X)
                pullbacks.append((i, (), pullback))
        loss, pullback = self.k["softmax_cross_entropy"].vjp(X, labels)
        gradient = pullback(1.0)
        self.steps += 1
        for i, names, pullback in reversed(pullbacks):
            found = pullback(gradient)
            if names:
                gradient, *rest = found
                for name, value in zip(names, rest, strict=True):
                    self._update(self.parameters[i][name], value, learning_rate)
            else:
                gradient = found
        return float(loss)

    def _observe(self, i: int, Z: np.ndarray) -> None:
        """Running averages of mean and variance, for inference."""
        found = {"mean": Z.mean(axis=0), "variance": Z.var(axis=0)}
        for name, value in found.items():
            self.statistics[i][name] *= MOMENTUM
            self.statistics[i][name] += (1 - MOMENTUM) * value

    def _update(self, p: Parameter, gradient: np.ndarray, learning_rate: float) -> None:
        self.k["adam"].update(
            p.value, gradient, p.m, p.v, self.steps, learning_rate, out=(p.value, p.m, p.v)
        )

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most likely class of each sample."""
        last = len(self.parameters) - 1
        for i, p in enumerate(self.parameters):
            X = self.k["linear"].forward(X, p["W"].value, p["b"].value)
            if i < last:
                s = self.statistics[i]
                X = self.k["batchnorm_inference"].forward(
                    X, s["mean"], s["variance"], p["gamma"].value, p["beta"].value
                ).Y
                X = self.k["relu"].forward(X)
        return X.argmax(axis=1)


def load(dtype: type) -> list[np.ndarray]:
    """scikit-learn's bundled digits, scaled to [0, 1], a quarter held out for the test."""
    digits = load_digits()
    X = (digits.data / 16).astype(dtype)
    return train_test_split(X, digits.target, test_size=0.25, random_state=0, stratify=digits.target)


def train(
    backend: str, epochs: int = 30, seed: int = 0, dtype: type = np.float32, quiet: bool = False
) -> dict[str, Any]:
    """Train and test; returns losses, accuracy, seconds and the network."""
    X, X_test, labels, labels_test = load(dtype)
    rng = np.random.default_rng(seed)
    network = Network(backend, rng, dtype)
    losses = []
    start = time.perf_counter()
    for epoch in track(range(epochs), description=f"training ({backend})", disable=quiet):
        order = rng.permutation(len(X))
        learning_rate = 3e-3 * 0.5 * (1 + np.cos(np.pi * epoch / epochs))
        for first in range(0, len(X) - 63, 64):
            batch = order[first : first + 64]
            losses.append(network.step(X[batch], labels[batch], learning_rate))
    seconds = time.perf_counter() - start
    accuracy = float((network.predict(X_test) == labels_test).mean())
    return {"losses": losses, "accuracy": accuracy, "seconds": seconds, "network": network}


def draw(losses: list[float], path: Path, title: str) -> None:
    """The loss of every step, and its mean over the last 22 steps, as a picture."""
    import matplotlib as mpl

    mpl.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 4), layout="constrained")
    smooth = np.convolve(losses, np.ones(22) / 22, mode="valid")
    axes.semilogy(losses, color="0.8", label="one mini-batch")
    axes.semilogy(np.arange(21, len(losses)), smooth, color="tab:blue", label="mean of one epoch")
    axes.set(xlabel="step", ylabel="cross entropy", title=title)
    axes.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--backend", choices=("numpy", "cpp"), default="cpp")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, default=Path("train_digits.png"))
    options = parser.parse_args()
    found = train(options.backend, options.epochs, options.seed)
    title = f"digits, {options.backend} kernels: {found['accuracy']:.2%} on the test set"
    draw(found["losses"], options.picture, title)
    print(
        f"test accuracy {found['accuracy']:.2%} after {options.epochs} epochs in "
        f"{found['seconds']:.1f} s; loss {found['losses'][0]:.3f} -> {found['losses'][-1]:.4f}; "
        f"picture: {options.picture}"
    )


if __name__ == "__main__":
    main()
