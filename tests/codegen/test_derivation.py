"""Gradients reach their short forms from the forward definition alone, and are proved."""


import pytest

import gradwright.derivations.activations as activations
import gradwright.derivations.dropout as dropouts
import gradwright.derivations.linear as linears
import gradwright.derivations.losses as losses
import gradwright.derivations.normalisation as normalisations
import gradwright.derivations.rectifiers as rectifiers
import gradwright.derivations.softmax as softmaxes
from gradwright.codegen import primitives
from gradwright.codegen.derivation import Derivation, derive, derive_all
from gradwright.codegen.lower import inlined, proved_again
from gradwright.codegen.notation import *
from gradwright.codegen.notation import Layer
from gradwright.codegen.primitives import Entries
from gradwright.codegen.prove import equal_everywhere, is_proved, route_b
from gradwright.codegen.text import to_text

MODULES = (activations, dropouts, linears, losses, normalisations, rectifiers, softmaxes)
LAYERS = {
    item.name: item
    for module in MODULES
    for item in vars(module).values()
    if isinstance(item, Layer) and item.source == module.__file__
}

SHORT_FORMS = {
    "linear": {"X": "DY @ W", "W": "DY^T @ X", "b": "columns_sum(DY)"},
    "affine": {"gamma": "columns_sum(X * DY)", "beta": "columns_sum(DY)"},
    "sigmoid": {"X": "Y * DY * (1 - Y)"},
    "tanh": {"X": "DY * (1 - Y^2)"},
    "softmax": {"Z": "Y * (DY - rows_sum(Y * DY))"},
    "log_softmax": {"Z": "DY - rows_sum(DY) * exp(Y)"},
    "batchnorm": {
        "X": "gamma * inv_std * (DY - columns_sum(Z * DY) * Z / N - columns_sum(DY) / N)",
        "gamma": "columns_sum(Z * DY)",
        "beta": "columns_sum(DY)",
    },
    "masked_linear": {"X": "DY @ (M * W)", "W": "DY^T @ X * M", "b": "columns_sum(DY)"},
    "dropconnect": {"X": "DY @ (R * W)", "W": "DY^T @ X * R", "b": "columns_sum(DY)"},
    "rmsnorm": {
        "X": "inv_rms * (gamma * DY - rows_sum(gamma * Z * DY) * Z / K)",
        "gamma": "columns_sum(Z * DY)",
    },
    "elu": {"X": "elu_slope(Y, alpha) * DY"},
    "kl_divergence": {"Y": "-scale * DL * T / Y"},
    "dropout": {"X": "R * DY"},
    "half_squared_error": {"Y": "scale * DL * R"},
    "cross_entropy": {"Y": "-scale * DL * T / Y"},
    "softmax_cross_entropy": {"Z": "scale * DL * (rows_sum(T) * exp(log_Y) - T)"},
}


def texts(derivation: Derivation) -> dict[str, str]:
    names = dict(derivation.program.names) | {
        derivation.program.output: derivation.program.output_name
    }
    return {name: to_text(g, names) for name, g in derivation.gradients}


@pytest.mark.parametrize("name", SHORT_FORMS)
def test_the_gradient_reaches_its_short_form(name: str) -> None:
    found = texts(derive(LAYERS[name]))
    for variable, wanted in SHORT_FORMS[name].items():
        assert found[variable] == wanted


@pytest.mark.parametrize("name", sorted(LAYERS))
def test_the_emitted_statements_are_proved_for_every_size(name: str) -> None:
    for derivation in derive_all(LAYERS[name]):
        assert proved_again(derivation.kernel, derivation.proof)


def test_every_gradient_rule_of_a_primitive_is_a_theorem() -> None:
    proved = primitives.prove_rules()
    assert all(proved.values())
    leaves = {"symbol", "number", "size", "reduction", "identity", "rows_shift", "columns_shift",
              "at_least_one"}  # fmt: skip
    assert set(proved) == set(primitives.PRIMITIVES) - leaves


def test_a_wrong_rule_is_no_theorem(monkeypatch: pytest.MonkeyPatch) -> None:
    right = primitives.PRIMITIVES["matmul"]
    wrong = primitives.Primitive(
        "matmul", right.formula, right.meaning, lambda n, g: (g @ n.args[1].T, n.args[0].T @ -g)
    )
    monkeypatch.setitem(primitives.PRIMITIVES, "matmul", wrong)
    assert not primitives.prove_rules()["matmul"]


def test_a_planted_wrong_gradient_is_not_proved() -> None:
    program = LAYERS["batchnorm"].program()
    proof = dict(route_b(program).gradients)
    entry = Entries(program.positive)
    right = derive(program).gradient("X")
    assert is_proved(proof["X"], right, entry)
    assert not is_proved(proof["X"], right * 0, entry), "the vacuous test of a sum as loss"
    assert not is_proved(proof["X"], right * 2, entry)


def test_the_fact_that_targets_sum_to_one_makes_a_named_variant() -> None:
    general, variant = derive_all(LAYERS["softmax_cross_entropy"])
    assert variant.name == "softmax_cross_entropy_normalised"
    assert texts(variant)["Z"] == "scale * DL * (exp(log_Y) - T)"
    entry = Entries(general.program.positive)
    wanted = dict(general.proof.gradients)["Z"]
    assert not is_proved(wanted, variant.gradient("Z"), entry), "true only under the fact"
    assert is_proved(wanted, variant.gradient("Z"), entry, variant.program.facts)


def test_saved_values_are_few() -> None:
    assert derive(LAYERS["softmax"]).kernel.saved == ("Y",)
    assert derive(LAYERS["log_softmax"]).kernel.saved == ("Y",)
    assert derive(LAYERS["relu"]).kernel.saved == ("X",)
    assert derive(LAYERS["sigmoid"]).kernel.saved == ("Y",)
    assert set(derive(LAYERS["batchnorm"]).kernel.saved) == {"X", "mu", "inv_std", "gamma"}
    assert set(derive(LAYERS["linear"]).kernel.saved) == {"X", "W"}
    assert set(derive(LAYERS["softmax_cross_entropy"]).kernel.saved) == {
        "Z", "T", "log_sum", "scale",
    }  # fmt: skip


def test_slopes_that_follow_from_the_output_save_it_instead_of_the_input() -> None:
    """Branch by branch; where nothing says that alpha is positive the sign of y tells nothing."""

    @activation(kinks={0: "alpha"})
    def unconstrained_elu(x, alpha: Real = 1.0):
        return Piecewise((x, x > 0), (alpha * (exp(x) - 1), True))

    saved = {
        item.name: derive(item).kernel.saved
        for item in (activations.sigmoid, activations.elu, activations.selu, unconstrained_elu)
    }
    assert saved == {
        "sigmoid": ("Y",), "elu": ("Y", "alpha"), "selu": ("Y",),
        "unconstrained_elu": ("X", "alpha"),
    }  # fmt: skip


def test_the_maximum_is_subtracted_only_where_that_is_proved() -> None:
    assert derive(LAYERS["softmax"]).stable.theorems
    assert derive(LAYERS["log_softmax"]).stable.theorems

    @layer
    def unnormalised(Z: Matrix[N, K]):  # type: ignore[valid-type,no-untyped-def]
        E = exp(Z)
        return E * column_repeat(rows_sum(E), K)

    assert not derive(unnormalised).stable.theorems


@layer
def attention(Q: Matrix[N, P], C: Matrix[M, P], V: Matrix[M, D]):  # type: ignore[valid-type,no-untyped-def]
    S = Q @ C.T / sqrt(P)
    E = exp(S)
    A = E / column_repeat(rows_sum(E), M)
    return A @ V


@layer
def gated(X: Matrix[N, D], W: Matrix[K, D], V: Matrix[K, D]):  # type: ignore[valid-type,no-untyped-def]
    A = X @ W.T
    G = sigmoid(A)
    B = X @ V.T
    return hadamard(G, B)


@layer
def rmsnorm(X: Matrix[N, K], gamma: Row[K], epsilon: Positive = 1e-5):  # type: ignore[valid-type,no-untyped-def]
    inv_rms = inv_sqrt(rows_mean(square(X)) + epsilon)
    return row_repeat(gamma, N) * X * column_repeat(inv_rms, K)


@layer
def cosine(X: Matrix[N, K], C: Matrix[N, K]):  # type: ignore[valid-type,no-untyped-def]
    return rows_sum(X * C) / sqrt(rows_sum(X * X) * rows_sum(C * C))


@layer
def column_softmax(Z: Matrix[N, K]):  # type: ignore[valid-type,no-untyped-def]
    E = exp(Z)
    return E / row_repeat(columns_sum(E), N)


@layer
def two_sided(Z: Matrix[N, K], T: Target[N, K]):  # type: ignore[valid-type,no-untyped-def]
    both = hadamard(T, log_sigmoid(Z)) + hadamard(1 - T, log_sigmoid(-Z))
    return batch_mean(-elements_sum(both), N)


@layer
def squares(S: Matrix[N, N], X: Matrix[N, K]):  # type: ignore[valid-type,no-untyped-def]
    return (S + S.T) @ X + Diag(diag(S)) @ X


@pytest.mark.parametrize(
    "item", [attention, gated, rmsnorm, cosine, column_softmax, two_sided, squares],
    ids=lambda item: item.name,
)  # fmt: skip
def test_layers_nobody_prepared_for_are_derived_and_proved(item: Layer) -> None:
    derivation = derive(item)
    assert proved_again(derivation.kernel, derivation.proof)


def test_the_gradient_of_attention_uses_its_probabilities() -> None:
    found = texts(derive(attention))
    assert found["V"] == "A^T @ DY"
    assert found["Q"] == "(A * (DY @ V^T - rows_sum(DY @ V^T * A))) @ C / sqrt(P)"


def test_both_halves_of_the_binary_cross_entropy_cancel() -> None:
    assert texts(derive(two_sided))["Z"] == "scale * DL * (sigmoid(Z) - T)"


def test_the_catalogue_form_of_binary_cross_entropy_is_the_two_sided_one() -> None:
    ours = LAYERS["binary_cross_entropy"].program().output
    assert equal_everywhere(ours, two_sided.program().output, Entries())


def test_the_lowered_statements_are_the_definition_again() -> None:
    derivation = derive(LAYERS["batchnorm"])
    forward = inlined(derivation.kernel.forward)
    assert equal_everywhere(
        forward["Y"], derivation.program.output, Entries(derivation.program.positive)
    )


def test_no_result_is_larger_than_the_inputs_and_outputs() -> None:
    for item in (*LAYERS.values(), attention, gated, cosine):
        derivation = derive(item)
        program = derivation.program
        allowed = {i.shape for i in program.inputs} | {program.output.shape, ("N", "M")}
        wide = {s for s in allowed if "1" not in s} | {s[::-1] for s in allowed}
        for routine in (derivation.kernel.forward, derivation.kernel.backward):
            for statement in routine.statements:
                if "1" not in statement.shape:
                    assert statement.shape in wide
