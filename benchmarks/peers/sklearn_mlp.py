"""scikit-learn's MLPClassifier; a partial_fit of the batch is a step."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.neural_network import MLPClassifier

from .problem import Problem


class Dense:
    """The weights after one step of its own and what its optimizer kept are replaced."""

    def __init__(self, problem: Problem) -> None:
        self.X, self.labels = problem.X, problem.labels
        solver = "adam" if problem.optimizer == "adam" else "sgd"
        self.model = MLPClassifier(
            problem.sizes[1:-1], solver=solver, alpha=0, batch_size=problem.batch, momentum=0,
            nesterovs_momentum=False, learning_rate_init=problem.learning_rate, shuffle=False,
        )  # fmt: skip
        self.model.partial_fit(self.X, self.labels, classes=np.arange(problem.sizes[-1]))
        for own, W in zip(self.model.coefs_, problem.dense(), strict=True):
            own[...] = W.T
        for own in self.model.intercepts_:
            own[...] = 0
        if solver == "adam":
            rule = self.model._optimizer
            rule.t = 0
            for moment in (*rule.ms, *rule.vs):
                moment[...] = 0

    def run(self, steps: int) -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for _ in range(steps):
                self.model.partial_fit(self.X, self.labels)
        return None

    def loss(self) -> float:
        P = self.model.predict_proba(self.X)
        return float(-np.log(P[np.arange(len(P)), self.labels].astype(np.float64)).mean())


def dense(problem: Problem) -> Dense:
    """SGD without momentum, or Adam."""
    return Dense(problem)
