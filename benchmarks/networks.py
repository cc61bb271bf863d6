"""Training from end to end: `MLP.fit` against scikit-learn's MLPClassifier and a PyTorch loop."""

from __future__ import annotations

import statistics
import time
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[Any]]
_ROUNDS = 5


@dataclass(frozen=True)
class Row:
    """Median seconds of one training, by contender; test accuracy where there is a test set."""

    what: str
    peer: str
    seconds: Mapping[str, float]
    accuracy: Mapping[str, float]

    @property
    def ratio(self) -> float:
        """How many times faster than the peer."""
        return self.seconds["peer"] / self.seconds["gradwright"]


def measure() -> list[Row]:
    """Every comparison whose peer is installed; each on two threads at most."""
    rows = [against_sklearn((64,), rounds=20), against_sklearn((256, 128))]
    try:
        import torch
    except ModuleNotFoundError:
        return rows
    return [*rows, *(against_torch(torch, threads) for threads in (1, 2))]


def against_sklearn(
    hidden: tuple[int, ...], epochs: int = 30, batch: int = 64, rounds: int = _ROUNDS
) -> Row:
    """The same digits, epochs, batch size and optimizer; no early stopping on either side.

    Every round has another split, which both train and are tested on: accuracies are means.
    """
    from sklearn.neural_network import MLPClassifier

    from gradwright import MLP
    from gradwright.data import digits

    data = digits().scaled(np.float32)
    splits = [data.split(0.25, seed) for seed in range(rounds + 1)]

    def ours(seed: int) -> float:
        train, test = splits[seed]
        net = MLP(
            [64, *hidden, 10], [*["relu"] * len(hidden), "softmax"], optimizer="adam", seed=seed
        )
        net.fit(train.X, train.y, epochs, learning_rate=1e-3, batch_size=batch, verbose=False)
        return net.score(test.X, test.y)

    def theirs(seed: int) -> float:
        train, test = splits[seed]
        model = MLPClassifier(
            hidden, batch_size=batch, max_iter=epochs, alpha=0, tol=0, n_iter_no_change=epochs,
            random_state=seed,
        )  # fmt: skip
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            model.fit(train.X, train.y)
        return float(model.score(test.X, test.y))

    what = "-".join(map(str, (64, *hidden, 10))) + f", digits, {epochs} epochs of {batch}"
    return _row(what, "scikit-learn", {"gradwright": ours, "peer": theirs}, rounds)


def against_torch(torch: Any, threads: int, epochs: int = 3, batch: int = 64) -> Row:
    """784-256-128-10 on 6400 random samples; the peer is an eager loop with Adam(fused=True)."""
    from gradwright import MLP, _kernels

    rng = np.random.default_rng(0)
    X = rng.normal(size=(6400, 784)).astype(np.float32)
    labels = rng.integers(0, 10, 6400)
    torch.set_num_threads(threads)
    _kernels.set_threads(threads)
    samples, targets = torch.from_numpy(X), torch.from_numpy(labels)

    def ours(seed: int) -> float:
        net = MLP([784, 256, 128, 10], ["relu", "relu", "softmax"], optimizer="adam", seed=seed)
        net.fit(X, labels, epochs, learning_rate=1e-3, batch_size=batch, verbose=False)
        return float("nan")

    def theirs(seed: int) -> float:
        torch.manual_seed(seed)
        layers = torch.nn
        model = layers.Sequential(
            layers.Linear(784, 256), layers.ReLU(), layers.Linear(256, 128), layers.ReLU(),
            layers.Linear(128, 10),
        )  # fmt: skip
        loss_of = layers.CrossEntropyLoss()
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=True)
        for _ in range(epochs):
            order = torch.randperm(len(samples))
            for rows in order.split(batch):
                optimizer.zero_grad(set_to_none=True)
                loss_of(model(samples[rows]), targets[rows]).backward()
                optimizer.step()
        return float("nan")

    what = f"784-256-128-10, {threads} thread(s), {epochs * 100} steps of {batch}"
    peer = f"PyTorch {torch.__version__}"
    return _row(what, peer, {"gradwright": ours, "peer": theirs}, _ROUNDS)


def _row(
    what: str, peer: str, contenders: Mapping[str, Callable[[int], float]], rounds: int
) -> Row:
    """Contenders take turns; the first round only warms up."""
    seconds: dict[str, list[float]] = {name: [] for name in contenders}
    scores: dict[str, list[float]] = {name: [] for name in contenders}
    for seed in range(rounds + 1):
        for name, run in contenders.items():
            time.sleep(0.05)
            start = time.perf_counter()
            score = run(seed)
            if seed:
                seconds[name].append(time.perf_counter() - start)
                scores[name].append(score)
    medians = {name: statistics.median(found) for name, found in seconds.items()}
    return Row(what, peer, medians, {name: statistics.mean(s) for name, s in scores.items()})
