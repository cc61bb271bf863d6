"""Three spirals: a network bends its boundaries around them.

    python examples/spiral.py --picture spiral.png

Trains 2-64-64-3 on points of three arms and draws the regions it assigns to the classes.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gradwright import MLP
from gradwright.data import Dataset, spiral


def train(
    data: Dataset, epochs: int = 300, hidden: int = 64, seed: int = 0, backend: str = "cpp"
) -> MLP:
    """The trained network."""
    net = MLP(
        [2, hidden, hidden, 3], ["tanh", "tanh", "softmax"], "xavier", optimizer="adam",
        backend=backend, seed=seed,
    )  # fmt: skip
    net.fit(data.X, data.y, epochs, learning_rate=0.01, batch_size=64, verbose=False)
    return net


def draw(net: MLP, data: Dataset, path: Path) -> None:
    """The points, and the class of every place."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 5), layout="constrained")
    axes = figure.add_subplot()
    ticks = np.linspace(-1.5, 1.5, 200)
    grid = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    regions = net.predict(grid).reshape(200, 200)
    axes.contourf(ticks, ticks, regions, levels=[-0.5, 0.5, 1.5, 2.5], cmap="Set2", alpha=0.5)
    axes.scatter(*data.X.T, c=data.y, cmap="Dark2", s=10)
    axes.set(title=f"accuracy {net.score(data.X, data.y):.1%}", aspect="equal")
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("spiral.png"))
    options = parser.parse_args()
    data, test = spiral(seed=0), spiral(seed=1)
    net = train(data)
    draw(net, data, options.picture)
    print(f"accuracy on other points {net.score(test.X, test.y):.1%}; picture: {options.picture}")


if __name__ == "__main__":
    main()
