"""The scikit-learn estimators pass scikit-learn's own checks and work where estimators do."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_digits, make_multilabel_classification
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from gradwright import MLP
from gradwright.data import sine, spiral
from gradwright.sklearn import GradwrightClassifier, GradwrightRegressor
from gradwright.sparse import uniform


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks([
    GradwrightClassifier((32,), learning_rate_init=0.01, max_iter=60),
    GradwrightRegressor((32,), learning_rate_init=0.02, max_iter=80),
    GradwrightClassifier((32,), learning_rate_init=0.01, max_iter=60, density=0.5),
    GradwrightRegressor((32,), learning_rate_init=0.02, max_iter=80, support="uniform"),
])  # fmt: skip
def test_scikit_learns_check_passes(estimator: object, check: object) -> None:
    check(estimator)  # type: ignore[operator]


SPIRAL = spiral(300, noise=0.05)


def classifier(**options: object) -> GradwrightClassifier:
    given = {"hidden_layer_sizes": (32, 32), "max_iter": 150, "learning_rate_init": 0.01,
             "batch_size": 50, "random_state": 0}  # fmt: skip
    return GradwrightClassifier(**given | options)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_pipeline_is_searched_and_cross_validated() -> None:
    pipeline = make_pipeline(StandardScaler(), classifier())
    grid = {"gradwrightclassifier__activation": ["identity", "tanh"]}
    found = GridSearchCV(pipeline, grid, cv=2).fit(SPIRAL.X, SPIRAL.y)
    assert found.best_params_ == {"gradwrightclassifier__activation": "tanh"}
    assert cross_val_score(found.best_estimator_, SPIRAL.X, SPIRAL.y, cv=2).mean() > 0.9


def test_the_same_random_state_gives_the_same_bits() -> None:
    first, second, other = (classifier(max_iter=3, random_state=s) for s in (0, 0, 1))
    with pytest.warns(ConvergenceWarning):
        curves = [found.fit(SPIRAL.X, SPIRAL.y).loss_curve_ for found in (first, second, other)]
    assert curves[0] == curves[1] != curves[2]


SPARSE: dict[str, dict[str, object]] = {
    "of one density": {"density": 0.2},
    "of a density a layer": {"density": [0.5, 0.2, 1.0]},
    "Erdos-Renyi": {"density": 0.3, "support": "erdos_renyi"},
    "in groups": {"density": 1.0, "support": [None, ("n_of_m", {"n": 2, "m": 4}), None]},
    "given": {"support": [uniform((32, 2), 0.5, 3), uniform((32, 32), 0.1, 4), None]},
}


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("name", SPARSE)
def test_layers_are_as_sparse_as_those_of_the_network(name: str) -> None:
    found = clone(classifier(max_iter=20, **SPARSE[name])).fit(SPIRAL.X, SPIRAL.y)
    net = MLP([2, 32, 32, 3], **SPARSE[name])
    for layer, wanted in zip(found.network_.specification.layers, net.specification.layers, strict=True):
        assert (layer.density, layer.support) == (wanted.density, wanted.support)
    assert [W.shape for W in found.coefs_] == [(2, 32), (32, 32), (32, 3)]
    value = SPIRAL.X.astype(np.float64)
    for W, b in zip(found.coefs_, found.intercepts_, strict=True):
        logits = value @ W + b
        value = np.maximum(logits, 0)
    np.testing.assert_array_equal(found.predict(SPIRAL.X), logits.argmax(axis=1))


def test_density_and_support_are_parameters_like_the_others() -> None:
    given = {"density": [0.5, 1.0, 1.0], "support": [uniform((32, 2), 0.5, 0), None, None]}
    found = classifier(**given)
    assert {name: found.get_params()[name] for name in given} == given
    assert "support" in repr(found)
    assert clone(found).density == given["density"]
    assert found.set_params(density=0.1, support=None).get_params()["density"] == 0.1


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_search_chooses_the_density() -> None:
    grid = {"density": [0.0, 1.0], "support": ["uniform", None]}
    found = GridSearchCV(classifier(), grid, cv=2).fit(SPIRAL.X, SPIRAL.y)
    assert found.best_params_["density"] == 1.0


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
@pytest.mark.parametrize("again", [copy.deepcopy, lambda f: pickle.loads(pickle.dumps(f))])  # noqa: S301
@pytest.mark.parametrize("options", [{}, {"support": SPARSE["given"]["support"]}])
def test_a_copy_of_a_fitted_estimator_predicts_and_goes_on_alike(
    again: object, options: dict[str, object]
) -> None:
    found = classifier(max_iter=3, warm_start=True, batchnorm=True, **options).fit(SPIRAL.X, SPIRAL.y)
    other = again(found)  # type: ignore[operator]
    np.testing.assert_array_equal(found.predict_proba(SPIRAL.X), other.predict_proba(SPIRAL.X))
    curves = [f.fit(SPIRAL.X, SPIRAL.y).loss_curve_ for f in (found, other)]
    assert curves[0] == curves[1]
    assert len(curves[0]) == 6


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_labels_may_be_texts_and_several() -> None:
    names = np.array(["red", "green", "blue"])[SPIRAL.y]
    found = classifier().fit(SPIRAL.X, names)
    assert set(found.predict(SPIRAL.X)) == {"red", "green", "blue"}
    assert found.score(SPIRAL.X, names) > 0.9
    X, Y = make_multilabel_classification(n_samples=100, random_state=0)
    assert classifier().fit(X, Y).predict(X).shape == Y.shape


def test_a_loss_on_held_out_samples_stops_the_training() -> None:
    digits = load_digits()
    found = classifier(early_stopping=True, n_iter_no_change=3, max_iter=500)
    found.fit(digits.data / 16, digits.target)
    assert found.n_iter_ < 500
    assert found.score(digits.data / 16, digits.target) > 0.95


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_the_regressor_fits_a_sine_with_one_target_and_with_two() -> None:
    data = sine(200)
    found = GradwrightRegressor((32,), "tanh", learning_rate_init=0.02, batch_size=50,
                                random_state=0, max_iter=300, tol=0)  # fmt: skip
    assert found.fit(data.X, data.y.ravel()).score(data.X, data.y.ravel()) > 0.98
    two = np.hstack([data.y, -data.y])
    assert found.fit(data.X, two).predict(data.X).shape == (200, 2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_a_sample_of_weight_two_is_there_twice_and_one_of_weight_zero_is_not() -> None:
    X, y = SPIRAL.X[:60], SPIRAL.y[:60]
    weight = np.random.default_rng(0).integers(0, 3, 60)
    options = {"batch_size": 1000, "max_iter": 30, "alpha": 0.01}
    found = classifier(**options).fit(X, y, sample_weight=weight)
    again = classifier(**options).fit(np.repeat(X, weight, axis=0), np.repeat(y, weight))
    np.testing.assert_allclose(found.predict_proba(X), again.predict_proba(X), rtol=1e-6)
    free = classifier(**options).fit(X, y)
    assert not np.allclose(found.predict_proba(X), free.predict_proba(X), rtol=1e-2)


@pytest.mark.filterwarnings("ignore::sklearn.exceptions.ConvergenceWarning")
def test_partial_fit_goes_on_pass_by_pass() -> None:
    found = classifier(tol=0)
    for _ in range(150):
        found.partial_fit(SPIRAL.X, SPIRAL.y, classes=[0, 1, 2])
    assert found.n_iter_ == 150
    assert found.score(SPIRAL.X, SPIRAL.y) > 0.95
    whole = classifier(max_iter=3, n_iter_no_change=100).fit(SPIRAL.X, SPIRAL.y)
    parts = classifier()
    for _ in range(3):
        parts.partial_fit(SPIRAL.X, SPIRAL.y, classes=[0, 1, 2])
    assert parts.loss_curve_ == whole.loss_curve_


def test_partial_fit_sees_classes_that_come_later() -> None:
    order = np.argsort(SPIRAL.y)
    found = classifier()
    for rows in np.array_split(order, 3):
        found.partial_fit(SPIRAL.X[rows], SPIRAL.y[rows], classes=[0, 1, 2])
    assert found.predict_proba(SPIRAL.X).shape == (300, 3)
    data = sine(50)
    regressor = GradwrightRegressor((8,), random_state=0)
    for _ in range(2):
        regressor.partial_fit(data.X, data.y.ravel(), sample_weight=np.ones(50))
    assert regressor.predict(data.X).shape == (50,)
    several = classifier().partial_fit(SPIRAL.X, np.eye(3, dtype=int)[SPIRAL.y])
    assert several.predict(SPIRAL.X).shape == (300, 3)


@pytest.mark.parametrize(
    ("work", "message"),
    [
        (lambda f: f.partial_fit(SPIRAL.X, SPIRAL.y), "classes has to be given"),
        (lambda f: f.partial_fit(SPIRAL.X, SPIRAL.y, classes=[0, 1]), "label 2 is not in classes"),
        (lambda f: [f.partial_fit(SPIRAL.X, SPIRAL.y, classes=c) for c in ([0, 1, 2], [0, 1, 2, 3])],
         "but was"),
        (lambda f: f.set_params(early_stopping=True).partial_fit(SPIRAL.X, SPIRAL.y, [0, 1, 2]),
         "does not stop early"),
        (lambda f: f.fit(SPIRAL.X, SPIRAL.y, sample_weight=np.zeros(300)), "non-zero"),
        (lambda f: f.fit(SPIRAL.X, SPIRAL.y, sample_weight=-np.ones(300)), "[Nn]egative"),
        (lambda f: f.fit(SPIRAL.X, SPIRAL.y, sample_weight=np.ones(299)), "sample_weight"),
    ],
)  # fmt: skip
def test_what_partial_fit_and_weights_cannot_be_is_refused(work: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        work(classifier(max_iter=1))


def test_arrays_have_scikit_learns_layout() -> None:
    with pytest.warns(ConvergenceWarning):
        found = classifier(max_iter=2).fit(SPIRAL.X, SPIRAL.y)
    assert [W.shape for W in found.coefs_] == [(2, 32), (32, 32), (32, 3)]
    assert [b.shape for b in found.intercepts_] == [(32,), (32,), (3,)]
    assert found.n_layers_ == 4
    assert found.out_activation_ == "softmax"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_iter": 0}, "max_iter >= 1"),
        ({"alpha": -1.0}, "alpha >= 0"),
        ({"batch_size": 0}, 'batch_size "auto" or >= 1'),
        ({"solver": "lbfgs"}, "unknown optimizer 'lbfgs'"),
        ({"activation": "rleu"}, "did you mean 'relu'"),
        ({"density": 1.5}, r"density in \[0, 1\]"),
        ({"density": [0.1, 0.2]}, "density"),
        ({"support": "unifrom"}, "did you mean 'uniform'"),
        ({"support": uniform((4, 4), 0.5, 0)}, "layer 1: expected a support of shape"),
    ],
)
def test_a_wrong_parameter_is_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        classifier(**options).fit(SPIRAL.X, SPIRAL.y)
