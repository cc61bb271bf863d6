"""Why initial weights matter: activations of ten ReLU layers under four initialisers.

    python examples/initialisation.py --picture initialisation.png

With standard normal weights the mean square of activations grows by half the width a layer; with
weights that are too small it vanishes; with He's it stays. The same networks are then trained.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import numpy as np

from gradwright import MLP
from gradwright.data import Dataset, digits
from gradwright.training.divergence import DivergenceError

INITIALISERS: dict[str, Any] = {
    "He": "he", "Xavier": "xavier", "N(0, 1)": ("normal", {"std": 1.0}),
    "N(0, 0.01²)": ("normal", {"std": 0.01}),
}  # fmt: skip


def network(init: Any, depth: int, width: int, seed: int = 0, backend: str = "cpp") -> MLP:
    """`depth` ReLU layers of one width between 64 pixels and 10 classes."""
    sizes = [64, *([width] * depth), 10]
    activations = [*(["relu"] * depth), "softmax"]
    return MLP(sizes, activations, init, optimizer="adam", backend=backend, seed=seed)


def mean_squares(net: MLP, X: np.ndarray) -> list[float]:
    """Of the activations of every hidden layer."""
    found, A = [], np.ascontiguousarray(X, net.specification.dtype)
    for layer in net.layers[:-1]:
        A = layer.forward(A)
        found.append(float(np.mean(A.astype(np.float64) ** 2)))
    return found


def losses(net: MLP, data: Dataset, epochs: int) -> list[float]:
    """The training losses, as far as training came."""
    try:
        net.fit(data.X, data.y, epochs, learning_rate=1e-3, batch_size=64, verbose=False)
    except DivergenceError as error:
        print(f"  diverged: {error}")
    return net.loss_history


def compare(depth: int = 10, width: int = 128, epochs: int = 10) -> dict[str, dict[str, list[float]]]:
    """Mean squares before and losses during training, by initialiser."""
    rng = np.random.default_rng(0)
    data, X = digits(), rng.standard_normal((256, 64))
    found = {}
    for name, init in INITIALISERS.items():
        net = network(init, depth, width)
        squares = mean_squares(net, X)
        found[name] = {"mean squares": squares, "losses": losses(net, data, epochs)}
    return found


def draw(found: dict[str, dict[str, list[float]]], path: Path) -> None:
    """Mean squares by layer, losses by epoch."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for name, series in found.items():
        left.semilogy(range(1, len(series["mean squares"]) + 1), series["mean squares"], label=name)
        if series["losses"]:
            right.semilogy(range(1, len(series["losses"]) + 1), series["losses"], label=name)
    left.set(xlabel="layer", ylabel="mean square of activations", title="before training")
    right.set(xlabel="epoch", ylabel="cross entropy", title="training")
    left.legend()
    figure.savefig(path, dpi=120)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--picture", type=Path, default=Path("initialisation.png"))
    options = parser.parse_args()
    found = compare()
    draw(found, options.picture)
    for name, series in found.items():
        first, last = series["mean squares"][0], series["mean squares"][-1]
        loss = f"{series['losses'][-1]:.3g}" if series["losses"] else "none"
        print(f"{name:12} mean square {first:.2g} -> {last:.2g} in ten layers; loss at the end {loss}")
    print(f"picture: {options.picture}")


if __name__ == "__main__":
    main()
