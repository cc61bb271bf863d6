"""The table of promises catches a kernel that breaks any of them."""

import pytest

import gradwright.derivations.activations as activations
import gradwright.derivations.linear as linears
import gradwright.derivations.losses as losses
import gradwright.derivations.normalisation as normalisations
import gradwright.derivations.softmax as softmaxes
from gradwright.codegen.derivation import Derivation, derive
from gradwright.codegen.notation import K, Matrix, N, activation, layer, sin
from gradwright.codegen.targets import numpy_target
from gradwright.codegen.verify.edges import check_edges
from gradwright.codegen.verify.floating import load_numpy

SCRIPTS = {
    "linear": linears.linear,
    "relu": activations.relu,
    "silu": activations.silu,
    "sigmoid": activations.sigmoid,
    "leaky_relu": activations.leaky_relu,
    "softmax": softmaxes.softmax,
    "log_softmax": softmaxes.log_softmax,
    "batchnorm": normalisations.batchnorm,
    "batchnorm_inference": normalisations.batchnorm_inference,
    "layernorm": normalisations.layernorm,
    "cross_entropy": losses.cross_entropy,
    "softmax_cross_entropy": losses.softmax_cross_entropy,
    "mean_squared_error": losses.mean_squared_error,
}

# layer, promise, right source, wrong source
FAULTS = [
    ("softmax", "row of -inf", "np.maximum(_row_sums(E), 1)", "_row_sums(E)"),
    ("relu", "kinks", "np.greater(x, 0,", "np.greater_equal(x, 0,"),
    ("relu", "NaN", "np.maximum(x, 0, out=out)", "np.fmax(x, 0, out=out)"),
    ("leaky_relu", "NaN", "if np.isnan(x.max(initial=-np.inf)):", "if False:"),
    ("silu", "limits", "x = _bounded(x, -10000, np.inf)", "pass"),
    ("batchnorm", "one sample", "if N == 1:", "if False:"),
    ("batchnorm", "constant data", "np.subtract(X_rows, X[:1], out=Y_rows)", "np.copyto(Y_rows, X_rows) or Y_rows"),
    ("batchnorm", "offset data", "+ drift\n", "+ drift\n    mu = mu.astype(dtype).astype(float)\n"),
    ("layernorm", "hyperparameters", "if not 0 < number < np.inf:", "if False:"),
    ("batchnorm_inference", "data domains", "if (variance < 0).any():", "if False:"),
    ("cross_entropy", "target 0", "product[target == 0] = 0", "pass"),
    ("softmax_cross_entropy", "empty batch", "if N == 0:", "if False:"),
    ("softmax_cross_entropy", "wrong labels", "value.max() >= cols", "value.max() > cols"),
    ("softmax_cross_entropy", "labels", "block[np.arange(len(labels)), labels] = 1", "block[:, 0] = 1"),
    ("mean_squared_error", "reduction", 'raise ValueError(f"{_LAYER}: expected red', 'return 1.0\n    print(f"'),
    ("relu", "types", "if array.dtype != np.float64 and (", "if False and ("),
    ("linear", "mixed dtypes", "if dtype is not None:", "if False:"),
    ("linear", "shapes", "if sizes.setdefault(dim, count) != count:", "if False:"),
    ("linear", "out", "    out[...] = result\n    return out", "    return result"),
    ("softmax", "wrong out", "if not out.flags.writeable:", "if False:"),
    ("softmax", "wrong out", "if out.shape != shape:", "if False:"),
    ("layernorm", "out over out", "if any(np.may_share_memory(buffer, other)", "if any(False"),
    ("batchnorm", "out over inputs", "any(np.may_share_memory(out, array) for array in arrays)", "False"),
    ("linear", "huge sizes", "raise OverflowError", "raise ValueError"),
]  # fmt: skip


@pytest.fixture(scope="module")
def derivations() -> dict[str, Derivation]:
    return {}


def source_of(derivations: dict[str, Derivation], name: str) -> tuple[Derivation, str]:
    if name not in derivations:
        derivations[name] = derive(SCRIPTS[name])
    return derivations[name], next(iter(numpy_target.render(derivations[name]).values()))


@pytest.mark.parametrize(
    ("name", "promise", "right", "wrong"), FAULTS, ids=[f"{n}: {p} {i}" for i, (n, p, *_) in enumerate(FAULTS)]
)  # fmt: skip
def test_fault_breaks_its_promise(
    derivations: dict[str, Derivation], name: str, promise: str, right: str, wrong: str
) -> None:
    derivation, text = source_of(derivations, name)
    assert right in text
    found = check_edges(derivation, {"faulty": load_numpy(text.replace(right, wrong), name)})
    failed = [c for c in (*found["cases"], *found["limitations"]) if not c["passed"]]
    assert promise in {c["name"] for c in failed}
    assert all(c["detail"] for c in failed)


def test_layers_outside_the_project_are_held_to_the_same_promises() -> None:
    @layer
    def centred_sine(X: Matrix[N, K]):
        return apply_sine(X)

    derivation = derive(centred_sine)
    module = load_numpy(next(iter(numpy_target.render(derivation).values())), "centred_sine")
    found = check_edges(derivation, {"numpy": module})
    assert found["passed"] == found["total"] > 10
    assert [c["name"] for c in found["limitations"]] == []


@activation
def apply_sine(x):
    return sin(x)
