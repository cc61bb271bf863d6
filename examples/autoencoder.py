"""An autoencoder: digits of 64 pixels through a bottleneck of two numbers, and back.

    python examples/autoencoder.py --picture autoencoder.png

64-64-2-64-64 is trained to give back its input. What the two numbers in the middle say of a digit is
drawn as a map: no label was used.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gradwright import MLP
from gradwright.data import Dataset, digits

SIZES = (64, 64, 2, 64, 64)


def train(data: Dataset, epochs: int = 150, seed: int = 0, backend: str = "cpp") -> MLP:
    """The network that gives back its input."""
    net = MLP(
        SIZES, ["tanh", None, "tanh", None], "xavier", optimizer="adam", backend=backend, seed=seed
    )
    rate = ("cosine", {"learning_rate": 3e-3, "steps": epochs * -(-len(data) // 32)})
    net.fit(data.X, data.X, epochs, learning_rate=rate, verbose=False)
    return net


def code(net: MLP, X: np.ndarray) -> np.ndarray:
    """What the bottleneck holds: the network up to its second layer."""
    for layer in net.layers[:2]:
        X = layer.forward(np.ascontiguousarray(X, net.specification.dtype))
    return X


def draw(net: MLP, data: Dataset, path: Path) -> None:
    """The map of codes, and ten digits with what came back."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.6), layout="constrained")
    grid = figure.add_gridspec(2, 12)
    axes = figure.add_subplot(grid[:, :5])
    axes.scatter(*code(net, data.X).T, c=data.y, cmap="tab10", s=6)
    axes.set(title="the two numbers in the middle")
    rows = [int(np.flatnonzero(data.y == digit)[0]) for digit in range(7)]
    for column, (image, copy) in enumerate(
        zip(data.X[rows], net.predict(data.X[rows]), strict=True), start=5
    ):
        for row, pixels in enumerate((image, copy)):
            axes = figure.add_subplot(grid[row, column])
            axes.imshow(pixels.reshape(8, 8), cmap="gray_r", vmin=0, vmax=1)
            axes.set_axis_off()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("autoencoder.png"))
    options = parser.parse_args()
    data = digits()
    net = train(data)
    draw(net, data, options.picture)
    variance = float(((data.X - data.X.mean(axis=0)) ** 2).sum() / len(data))
    kept = 1 - 2 * net.loss_history[-1] / variance
    print(f"two numbers keep {kept:.0%} of the variance of 64; picture: {options.picture}")


if __name__ == "__main__":
    main()
