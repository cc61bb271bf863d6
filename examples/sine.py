"""Regression: a network with one input and one output fits a noisy sine.

    python examples/sine.py --picture sine.png
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from gradwright import MLP
from gradwright.data import Dataset, sine


def train(data: Dataset, epochs: int = 200, seed: int = 0, backend: str = "cpp") -> MLP:
    """1-32-32-1 with tanh, on half the squared error."""
    net = MLP(
        [1, 32, 32, 1], ["tanh", "tanh", None], "xavier", optimizer="adam", backend=backend,
        seed=seed,
    )  # fmt: skip
    rate = ("cosine", {"learning_rate": 0.01, "steps": epochs * -(-len(data) // 32)})
    net.fit(data.X, data.y, epochs, learning_rate=rate, verbose=False)
    return net


def draw(net: MLP, data: Dataset, path: Path) -> None:
    """Samples, the sine and what the network makes of them."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), layout="constrained")
    axes = figure.add_subplot()
    x = np.linspace(-np.pi, np.pi, 400)[:, None]
    axes.plot(data.X, data.y, ".", color="0.8", label="samples")
    axes.plot(x, np.sin(x), "--", label="sin x")
    axes.plot(x, net.predict(x), label="network")
    axes.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("sine.png"))
    options = parser.parse_args()
    data = sine(noise=0.1)
    net = train(data)
    draw(net, data, options.picture)
    error = np.abs(net.predict(data.X) - np.sin(data.X)).max()
    print(f"largest distance from the sine {error:.3f}; picture: {options.picture}")


if __name__ == "__main__":
    main()
