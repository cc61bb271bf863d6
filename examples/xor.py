"""XOR: four points that no straight line separates, learnt by 2-4-1.

    python examples/xor.py

A hidden layer of four units bends the plane so that a line is enough. Prints the four predictions.
"""

from __future__ import annotations

import numpy as np

from gradwright import MLP
from gradwright.data import xor


def train(epochs: int = 400, seed: int = 1, backend: str = "cpp") -> MLP:
    """The trained network: ReLU, then a sigmoid, on all four points at once."""
    data = xor()
    net = MLP(
        [2, 4, 1], ["relu", "sigmoid"], optimizer="adam", backend=backend, seed=seed
    )
    net.fit(data.X, data.y, epochs, learning_rate=0.05, batch_size=None, verbose=False)
    return net


def main() -> None:
    data, net = xor(), train()
    probability = net.predict_proba(data.X)[:, 1]
    for (a, b), label, p in zip(data.X.astype(int), data.y, probability, strict=True):
        print(f"{a} xor {b} = {label}: {p:.4f}")
    print(f"all right: {bool(np.all((probability > 0.5) == data.y))}; loss {net.loss_history[-1]:.2g}")


if __name__ == "__main__":
    main()
