"""Accuracy of truly sparse networks against masked dense ones, on scikit-learn's handwritten digits.

    python benchmarks/sparse_accuracy.py

A masked dense network keeps all weights and multiplies them by a pattern of 0 and 1, with the generated
kernels `masked_linear`, `relu`, `softmax_cross_entropy` and `adam`. It has the same pattern, initial
weights and order of samples as the sparse one. The table shows test accuracies over five seeds, and
what moving the sparse weights while training adds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from gradwright import MLP
from gradwright.generated.numpy import adam, masked_linear, relu, softmax_cross_entropy
from gradwright.layer import Layer
from gradwright.sparse import Rewiring
from gradwright.training.sources import generator

Array = np.ndarray[Any, np.dtype[Any]]
SIZES, DENSITIES, SEEDS = [64, 256, 128, 10], (0.1, 0.05, 0.01), range(5)
EPOCHS, BATCH, RATE = 60, 32, 0.003


def masked_dense(net: MLP, X: Array, y: Array, X_test: Array, y_test: Array) -> float:
    """The test accuracy of the masked dense network with this one's initial weights and pattern."""
    own = net.parameters() | net.backend.state()
    layers = [
        Layer.of(described, "numpy", own, net.specification.seed, number)
        for number, described in enumerate(net.specification.layers, start=1)
    ]
    weights = [layer.W.copy() for layer in layers]
    masks = [layer.support.mask().astype(np.float32) for layer in layers]
    biases = [layer.b.copy() for layer in layers]
    states = [(np.zeros_like(a), np.zeros_like(a)) for a in (*weights, *biases)]

    def forward(batch: Array) -> tuple[Array, list[Any]]:
        pullbacks = []
        for number, (W, b, M) in enumerate(zip(weights, biases, masks, strict=True), start=1):
            batch, pullback = masked_linear.vjp(batch, W, b, M)
            pullbacks.append(pullback)
            if number < len(weights):
                batch, pullback = relu.vjp(batch)
                pullbacks.append(pullback)
        return batch, pullbacks

    step = 0
    for epoch in range(EPOCHS):
        order = generator(net.specification.seed, 1, epoch).permutation(np.arange(len(X)))
        for first in range(0, len(X), BATCH):
            rows, step = order[first : first + BATCH], step + 1
            logits, pullbacks = forward(X[rows])
            gradient = softmax_cross_entropy.vjp(logits, y[rows])[1](1.0)
            found = []
            for pullback in reversed(pullbacks):
                result = pullback(gradient)
                gradient = result[0] if isinstance(result, tuple) else result
                found += [result[1:]] if isinstance(result, tuple) else []
            gradients = [g[0] for g in reversed(found)] + [g[1] for g in reversed(found)]
            for theta, g, (m, v) in zip((*weights, *biases), gradients, states, strict=True):
                adam.update(theta, g, m, v, t=step, learning_rate=RATE, out=(theta, m, v))
    return float((forward(X_test)[0].argmax(axis=1) == y_test).mean())


def accuracies(density: float, seed: int) -> tuple[float, float, float]:
    """Of the masked dense, the sparse and the rewired sparse network."""
    X, y = load_digits(return_X_y=True)
    X = (X / 16).astype(np.float32)
    parts = train_test_split(X, y, test_size=0.25, random_state=seed, stratify=y)
    X, X_test, y, y_test = parts
    options: dict[str, Any] = {
        "activations": ["relu", "relu", "softmax"], "density": density, "support": "erdos_renyi",
        "optimizer": "adam", "seed": seed,
    }  # fmt: skip
    dense = masked_dense(MLP(SIZES, **options), X, y, X_test, y_test)
    found = []
    callbacks: Sequence[Any]
    for callbacks in ([], [Rewiring(0.3, grow="gradient", interval=50, steps=2000)]):
        net = MLP(SIZES, **options)
        net.fit(X, y, epochs=EPOCHS, batch_size=BATCH, learning_rate=RATE, verbose=False,
                callbacks=callbacks)  # fmt: skip
        found.append(net.score(X_test, y_test))
    return dense, found[0], found[1]


def main() -> None:
    """Print the table; fail if sparse and masked dense differ by more than a percent."""
    print("density  masked dense      sparse            sparse, rewired")
    for density in DENSITIES:
        table = 100 * np.array([accuracies(density, seed) for seed in SEEDS])
        means, spread = table.mean(axis=0), table.std(axis=0)
        cells = [f"{m:5.2f} +- {s:4.2f} %" for m, s in zip(means, spread, strict=True)]
        print(f"{density:7.2f}  {'  '.join(cells)}")
        if abs(means[1] - means[0]) > 1:
            raise SystemExit("the sparse network is more than a percent away from the masked one")


if __name__ == "__main__":
    main()
