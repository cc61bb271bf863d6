"""scikit-learn estimators over `gradwright.MLP`.

`GradwrightClassifier` and `GradwrightRegressor` work wherever an estimator does: in pipelines, grid
searches, cross validation. Parameters that mean the same as those of `MLPClassifier` have its
names. Needs scikit-learn: pip install 'gradwright[sklearn]'.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.sparse import csr_array
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import ConvergenceWarning, DataConversionWarning
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from gradwright.network import MLP

Array = np.ndarray[Any, np.dtype[Any]]

# scikit-learn's names that stand for one of ours.
_ACTIVATIONS = {"logistic": "sigmoid"}
_SOLVERS: dict[str, Any] = {"sgd": ("nesterov", {"mu": 0.9})}


class _Estimator(BaseEstimator):  # type: ignore[misc]
    """What both estimators share: parameters, training, the fitted network."""

    def __init__(
        self,
        hidden_layer_sizes: int | Sequence[int] = (100,),
        activation: Any = "relu",
        *,
        solver: Any = "adam",
        alpha: float = 0.0001,
        batch_size: int | str = "auto",
        learning_rate_init: Any = 0.001,
        max_iter: int = 200,
        shuffle: bool = True,
        random_state: Any = None,
        tol: float = 1e-4,
        verbose: bool = False,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        init: Any = "he",
        batchnorm: bool = False,
        dropout: float = 0.0,
        density: Any = 1.0,
        support: Any = None,
        backend: str = "cpp",
    ) -> None:
        self.hidden_layer_sizes = hidden_layer_sizes
        self.activation = activation
        self.solver = solver
        self.alpha = alpha
        self.batch_size = batch_size
        self.learning_rate_init = learning_rate_init
        self.max_iter = max_iter
        self.shuffle = shuffle
        self.random_state = random_state
        self.tol = tol
        self.verbose = verbose
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.init = init
        self.batchnorm = batchnorm
        self.dropout = dropout
        self.density = density
        self.support = support
        self.backend = backend

    def _train(
        self, X: Array, T: Array, weight: Array | None, outputs: int, output: str, loss: str
    ) -> None:
        """Make the network, or go on with it after `warm_start`, and train it."""
        batch = self._batch(len(X))
        if not (self.warm_start and hasattr(self, "network_")):
            share = batch if weight is None else batch * float(weight.mean())
            self.network_ = self._network(X, outputs, output, loss, share)
        done = len(self.network_.history)
        self.network_.fit(
            X, T, epochs=self.max_iter, learning_rate=self.learning_rate_init, batch_size=batch,
            verbose=self.verbose, shuffle=self.shuffle, sample_weight=weight,
            patience=self.n_iter_no_change, min_delta=self.tol,
            validation_split=self.validation_fraction if self.early_stopping else 0.0,
        )  # fmt: skip
        self._tell(outputs, output)
        history = self.network_.history
        if self.n_iter_ - done == self.max_iter and not history.stopped and self.max_iter > 1:
            warnings.warn(
                f"training reached max_iter={self.max_iter} before the loss stopped falling; raise "
                "max_iter, or learning_rate_init",
                ConvergenceWarning, stacklevel=3,
            )  # fmt: skip

    def _train_once(
        self, X: Array, T: Array, weight: Array | None, outputs: int, output: str, loss: str
    ) -> None:
        """One pass over the samples, from where the last one ended."""
        if self.early_stopping:
            raise ValueError("partial_fit does not stop early; give early_stopping=False")
        batch = self._batch(len(X))
        if not hasattr(self, "network_"):
            self.network_ = self._network(X, outputs, output, loss, batch)
        self.network_.fit(
            X.astype(self.network_.specification.dtype, copy=False), T, epochs=1,
            learning_rate=self.learning_rate_init, batch_size=batch, verbose=self.verbose,
            shuffle=self.shuffle, sample_weight=weight,
        )  # fmt: skip
        self._tell(outputs, output)

    def _tell(self, outputs: int, output: str) -> None:
        """The attributes of a fitted estimator."""
        history = self.network_.history
        self.loss_curve_ = list(history.loss)
        self.loss_ = self.loss_curve_[-1]
        self.best_loss_ = min(self.loss_curve_)
        self.n_iter_ = len(history)
        self.n_layers_ = len(self.network_.specification.sizes)
        self.n_outputs_ = outputs
        self.out_activation_ = output

    def _batch(self, count: int) -> int:
        self._check_numbers()
        return min(200 if self.batch_size == "auto" else int(self.batch_size), count)

    def _weighted(
        self, X: Array, y: Array, sample_weight: Any
    ) -> tuple[Array, Array, Array | None]:
        """The samples that have a weight, and the weights. A weight of zero is an absent sample."""
        if sample_weight is None:
            return X, y, None
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        kept = weight > 0
        return X[kept], y[kept], weight[kept]

    def _network(self, X: Array, outputs: int, output: str, loss: str, batch: float) -> MLP:
        hidden = self.hidden_layer_sizes
        widths = [hidden] if np.isscalar(hidden) else list(hidden)  # type: ignore[arg-type]
        activation = self.activation
        if isinstance(activation, str):
            activation = _ACTIVATIONS.get(activation, activation)
        many = isinstance(activation, list)
        activations = activation if many else [activation] * len(widths)
        solver = _SOLVERS.get(self.solver, self.solver) if isinstance(self.solver, str) else self.solver
        return MLP(
            [X.shape[1], *widths, outputs], [*activations, output], self.init, loss=loss,
            optimizer=solver, batchnorm=self.batchnorm, dropout=self.dropout, density=self.density,
            support=self.support, weight_decay=self.alpha / batch, dtype=X.dtype.name, backend=self.backend,
            seed=int(check_random_state(self.random_state).randint(np.iinfo(np.int32).max)),
        )  # fmt: skip

    def _check_numbers(self) -> None:
        if not isinstance(self.max_iter, (int, np.integer)) or self.max_iter < 1:
            raise ValueError(f"expected max_iter >= 1, got {self.max_iter!r}")
        if not self.alpha >= 0:
            raise ValueError(f"expected alpha >= 0, got {self.alpha!r}")
        if self.batch_size != "auto" and not int(self.batch_size) >= 1:
            raise ValueError(f'expected batch_size "auto" or >= 1, got {self.batch_size!r}')

    @property
    def coefs_(self) -> list[Any]:
        """Weights of every layer, (inputs, outputs) as in scikit-learn; SciPy's where they are sparse."""
        arrays, found = dict(self._arrays()), []
        for number, layer in enumerate(self.network_.specification.layers, start=1):
            W = f"layer{number}.W"
            if layer.sparse:
                parts = (arrays[f"{W}.{part}"] for part in ("values", "indices", "indptr"))
                found.append(csr_array(tuple(parts), shape=(layer.outputs, layer.inputs)).T)
            else:
                found.append(arrays[W].T)
        return found

    @property
    def intercepts_(self) -> list[Array]:
        """Biases of every layer."""
        return [array for name, array in self._arrays() if name.endswith(".b")]

    def _arrays(self) -> list[tuple[str, Array]]:
        check_is_fitted(self)
        return list(self.network_.parameters().items())

    def _samples(self, X: Any) -> Array:
        check_is_fitted(self)
        found: Array = validate_data(self, X, reset=False, dtype=(np.float64, np.float32))
        return found


class GradwrightClassifier(ClassifierMixin, _Estimator):  # type: ignore[misc]
    """A multilayer perceptron for classes, or for several labels a sample.

    Args:
        hidden_layer_sizes: widths of the hidden layers.
        activation: of hidden layers: a name, (name, {parameter: value}), or a list of one for each.
        solver: an optimizer: a name or (name, {hyperparameter: value}); "sgd" is Nesterov's momentum.
        alpha: strength of the L2 penalty, divided by the batch size.
        batch_size: samples a step; "auto" is min(200, N).
        learning_rate_init: a number, a schedule (name, {...}) or a function of the step.
        max_iter: epochs at most. Training stops where the loss has not fallen by `tol` for
            `n_iter_no_change` epochs, and keeps the best weights.
        early_stopping: watch the loss on `validation_fraction` of the samples instead.
        random_state: of weights, order, dropout and validation samples.
        warm_start: go on with the network of the last `fit`.
        init, batchnorm, dropout, density, support, backend: as in `gradwright.MLP`.

    The network computes in float32 for samples in float32, else in float64. After `fit`:
    `network_`, `classes_`, `loss_curve_`, `n_iter_`, `coefs_`, `intercepts_`.
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradwrightClassifier:
        """Train on samples (N, D) and labels (N,), or on a matrix of 0 and 1 (N, K).

        sample_weight: (N,); the penalty `alpha` counts a sample of weight w as w samples.
        """
        X, y = validate_data(self, X, y, multi_output=True, dtype=(np.float64, np.float32))
        check_classification_targets(y)
        X, y, weight = self._weighted(X, y, sample_weight)
        if type_of_target(y).startswith("multilabel"):
            self._set_classes(np.arange(y.shape[1]), several=True)
        else:
            y = _column(y)
            self._set_classes(np.unique(y), several=False)
        self._train(X, *self._targets(y, weight))
        return self

    def partial_fit(
        self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None
    ) -> GradwrightClassifier:
        """One more pass over these samples; the first one may have to make the network.

        classes: all labels there will ever be, needed in the first call, except for several labels
        a sample (N, K).
        """
        first = not hasattr(self, "network_")
        X, y = validate_data(
            self, X, y, multi_output=True, dtype=(np.float64, np.float32), reset=first
        )
        check_classification_targets(y)
        X, y, weight = self._weighted(X, y, sample_weight)
        several = y.ndim == 2 and y.shape[1] > 1
        given = np.arange(y.shape[1]) if several and classes is None else classes
        if first:
            if given is None:
                raise ValueError("classes has to be given in the first call of partial_fit")
            self._set_classes(np.unique(given), several)
        elif given is not None and not np.array_equal(np.unique(given), self.classes_):
            raise ValueError(f"classes is {given}, but was {self.classes_} in the first call")
        y = y if several else _column(y)
        unknown: Any = [] if several else np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"label {unknown[0]} is not in classes, {self.classes_}")
        self._train_once(X, *self._targets(y, weight))
        return self

    def _set_classes(self, classes: Array, several: bool) -> None:
        self.classes_ = classes
        self._several = several

    def _targets(self, y: Array, weight: Array | None) -> tuple[Array, Any, int, str, str]:
        """What the network is trained on: targets, weights, outputs, output activation, loss."""
        count = len(self.classes_)
        if self._several:
            return y, weight, count, "sigmoid", "binary_cross_entropy"
        T = np.searchsorted(self.classes_, y).astype(np.int64)
        return T, weight, count, "softmax", "cross_entropy"

    def predict(self, X: Any) -> Array:
        """Labels (N,), or 0 and 1 for each of several (N, K)."""
        X = self._samples(X)
        found: Array = self.network_.predict(X)
        return found if self._several else self.classes_[found]

    def predict_proba(self, X: Any) -> Array:
        """Probabilities of the classes, in the order of `classes_`."""
        X = self._samples(X)
        found: Array = self.network_.predict_proba(X)
        return found

    def predict_log_proba(self, X: Any) -> Array:
        """Logarithms of the probabilities."""
        with np.errstate(divide="ignore"):
            found: Array = np.log(self.predict_proba(X))
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = True
        return tags


class GradwrightRegressor(RegressorMixin, _Estimator):  # type: ignore[misc]
    """A multilayer perceptron for numbers, trained on half the squared error.

    Parameters are those of `GradwrightClassifier`. Targets are (N,) or (N, K).
    """

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradwrightRegressor:
        """Train on samples (N, D) and targets (N,) or (N, K); sample_weight is (N,)."""
        X, y = self._validated(X, y, reset=True)
        X, y, weight = self._weighted(X, y, sample_weight)
        self._flat = y.ndim == 1 or y.shape[1] == 1
        T = self._targets(X, y)
        self._train(X, T, weight, T.shape[1], "identity", "half_squared_error")
        return self

    def partial_fit(self, X: Any, y: Any, sample_weight: Any = None) -> GradwrightRegressor:
        """One more pass over these samples; the first one makes the network."""
        first = not hasattr(self, "network_")
        X, y = self._validated(X, y, reset=first)
        X, y, weight = self._weighted(X, y, sample_weight)
        if first:
            self._flat = y.ndim == 1 or y.shape[1] == 1
        T = self._targets(X, y)
        self._train_once(X, T, weight, T.shape[1], "identity", "half_squared_error")
        return self

    def _validated(self, X: Any, y: Any, reset: bool) -> tuple[Array, Array]:
        found: tuple[Array, Array] = validate_data(
            self, X, y, multi_output=True, y_numeric=True, dtype=(np.float64, np.float32),
            reset=reset,
        )  # fmt: skip
        return found

    def _targets(self, X: Array, y: Array) -> Array:
        return (_column(y)[:, None] if self._flat else y).astype(X.dtype)

    def predict(self, X: Any) -> Array:
        """Numbers, (N,) or (N, K) as in `fit`."""
        X = self._samples(X)
        found: Array = self.network_.predict(X)
        return found.ravel() if self._flat else found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _column(y: Array) -> Array:
    """Targets with one axis; a column of them comes with scikit-learn's warning."""
    if y.ndim == 2 and y.shape[1] == 1:
        warnings.warn(
            "A column-vector y was passed when a 1d array was expected; give y.ravel()",
            DataConversionWarning, stacklevel=3,
        )  # fmt: skip
        return y.ravel()
    return y
