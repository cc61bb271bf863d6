"""Theorems of the built-in optimizers are proved; wrong rules and wrong theorems are caught."""

import pickle
from collections.abc import Callable
from dataclasses import replace

import pytest

from gradwright.codegen import expression as ex
from gradwright.codegen.errors import NotationError, ProofFailure
from gradwright.codegen.optimizer import Optimizer, OptimizerDerivation, derive_optimizer
from gradwright.codegen.optimizer.exact import refuted
from gradwright.codegen.optimizer.oracle import differs
from gradwright.codegen.optimizer.proof import unproved
from gradwright.codegen.optimizer.rule import UpdateRule
from gradwright.codegen.optimizer.statement import statement

from .conftest import NAMES

Load = Callable[[str], Optimizer]
Derived = dict[str, OptimizerDerivation]
HEAD = """
@optimizer
def own(theta: Parameter, g: Gradient, d: State, rate: NonNegative = 0.1, mu: UnitInterval = 0.9):
    d_next = mu * d - rate * g
    return update(theta=theta + d_next, d=d_next)


@theorem(own{given})
def claim({arguments}):
    return {claim}
"""


def with_theorem(arguments: str, claim: str, given: str = "") -> str:
    return HEAD.format(arguments=arguments, claim=claim, given=given)


@pytest.mark.parametrize("name", NAMES)
def test_every_theorem_passes_all_three_checks(derived: Derived, name: str) -> None:
    made = derived[name]
    assert made.script is not None
    for theorem in made.theorems:
        assert unproved(made.rule, theorem) is None
        assert refuted(made.rule, theorem) is None
        assert differs(made.script, made.rule, theorem) is None


@pytest.mark.parametrize(
    ("name", "theorem", "wanted"),
    [
        ("gradient_descent", "quadratic_loss", "theta_t = theta_0*(1 - learning_rate*(a + weight_decay))^t"),
        ("momentum", "decay_is_a_penalty", "one step from any state is one step of "
         "momentum with the gradient g + theta*weight_decay and weight_decay = 0"),
        ("adamw", "without_decay", "with weight_decay = 0, one step from any state is one step of adam"),
        ("lion", "all_gradients", "m_t = (1 - beta2)*sum(beta2^(t - i)*g[i], i = 1..t)"),
        ("momentum", "constant_gradient", "d_t = -g*learning_rate*(1 - mu^t)/(1 - mu)"),
        ("adam", "constant_gradient", "m_hat_t = g"),
        ("adam", "constant_gradient", "v_hat_t = g^2"),
        ("adam", "sign_descent", "theta_t -> theta_0 - learning_rate*t*sign(g)"),
        ("adam", "all_gradients", "v_t = (1 - beta2)*sum(beta2^(t - i)*g[i]^2, i = 1..t)"),
        ("adam", "without_memory", "with beta1 = 0 and beta2 = 0 and weight_decay = 0, for one step from any state"),
        ("adam", "bounded_steps", "|change of theta| <= learning_rate"),
    ],
)
def test_statement_says_what_is_proved(
    derived: Derived, name: str, theorem: str, wanted: str
) -> None:
    made = next(t for t in derived[name].theorems if t.name == theorem)
    assert wanted in statement(derived[name].rule, made)


def changed(rule: UpdateRule, name: str, value: ex.Expr) -> UpdateRule:
    """The rule with another formula for one intermediate or update."""
    pairs = {
        part: tuple((n, value if n == name else e) for n, e in getattr(rule, part))
        for part in ("definitions", "updates")
    }
    return replace(rule, **pairs)


def symbols(*names: str) -> list[ex.Expr]:
    return [ex.symbol(name, ("1", "1")) for name in names]


def wrong_rules(derived: Derived) -> dict[str, tuple[str, UpdateRule]]:
    """Slips that happen: a name, and the rule with the slip."""
    theta, g, d, d_next, rate, mu = symbols("theta", "g", "d", "d_next", "learning_rate", "mu")
    m, m_next, v_next, m_hat, v_hat = symbols("m", "m_next", "v_next", "m_hat", "v_hat")
    beta1, beta2, epsilon, decay = symbols("beta1", "beta2", "epsilon", "weight_decay")
    t = ex.step("t")
    plain, heavy, ahead, adam, adamw = (
        derived[n].rule for n in ("gradient_descent", "momentum", "nesterov", "adam", "adamw")
    )
    half = ex.Fraction(1, 2)
    adam_way = m_hat / (ex.power(v_hat, half) + epsilon)
    return {
        "ascent": ("gradient_descent", changed(plain, "theta", theta + rate * g)),
        "damped gradient": ("momentum", changed(heavy, "d_next", mu * d - (1 - mu) * rate * g)),
        "old velocity": ("momentum", changed(heavy, "theta", theta + d)),
        "momentum for nesterov": ("nesterov", changed(ahead, "theta", theta + d_next)),
        "velocity not kept": ("nesterov", changed(ahead, "d", d)),
        "no correction of m": ("adam", changed(adam, "m_hat", m_next)),
        "correction one step late": (
            "adam", changed(adam, "v_hat", v_next / (1 - beta2 * beta2**t))
        ),
        "betas exchanged": ("adam", changed(adam, "m_hat", m_next / (1 - beta2**t))),
        "moment for its square": ("adam", changed(adam, "v_next", beta2 * d * 0 + m_next**2)),
        "epsilon inside the root": (
            "adam",
            changed(adam, "theta", theta - rate * m_hat / ex.power(v_hat + epsilon, half)),
        ),
        "no root": ("adam", changed(adam, "theta", theta - rate * m_hat / (v_hat + epsilon))),
        "decay against the gradient": (
            "gradient_descent", changed(plain, "theta", theta - rate * (g - decay * theta))
        ),
        "decay of the step, not the parameter": ("momentum", changed(heavy, "h", g + decay * d)),
        "decay without the rate": (
            "adamw", changed(adamw, "theta", theta - rate * adam_way - decay * theta)
        ),
        "weight of the gradient": ("adam", changed(adam, "m_next", beta1 * m + beta1 * g)),
    }


@pytest.mark.parametrize("slip", [
    "ascent", "damped gradient", "old velocity", "momentum for nesterov", "velocity not kept",
    "no correction of m", "correction one step late", "betas exchanged", "moment for its square",
    "epsilon inside the root", "no root", "weight of the gradient", "decay against the gradient",
    "decay of the step, not the parameter", "decay without the rate",
])  # fmt: skip
def test_wrong_rule_breaks_a_theorem_in_the_proof_and_in_the_finite_check(
    derived: Derived, slip: str
) -> None:
    name, rule = wrong_rules(derived)[slip]
    theorems = derived[name].theorems
    assert any(unproved(rule, theorem) is not None for theorem in theorems)
    assert any(refuted(rule, theorem) is not None for theorem in theorems)


@pytest.mark.parametrize(
    ("arguments", "claim", "given"),
    [
        ("t, theta_0, g, rate, mu", "closed_form(d=-rate * g, theta=theta_0 - rate * g * t)", ""),
        ("t, theta_0, g, rate, mu", "closed_form(d=0, theta=theta_0)", ", rate=1"),
        ("theta, g, rate, mu", "one_step(theta=theta - rate * g)", ""),
        ("theta, d", "same_step(own, theta=theta + d)", ""),
        ("g", "same_step(own, g=2 * g)", ""),
        ("rate", "same_step(own, rate=rate / 2)", ""),
        ("t, theta, theta_0, rate",
         "closed_form(loss=theta**2, d=0, theta=(1 - rate) ** t * theta_0)", ", mu=0"),
    ],
)  # fmt: skip
def test_false_theorem_is_refused_with_a_counterexample(
    written: Load, arguments: str, claim: str, given: str
) -> None:
    message = r"own.py:\d+: own: the theorem claim is not proved(.|\n)*counterexample: .* where .*rate = "
    with pytest.raises(ProofFailure, match=message):
        derive_optimizer(written(with_theorem(arguments, claim, given)))


def test_base_case_is_checked(written: Load) -> None:
    """The step alone would hold: theta grows by the same amount from any start."""
    claim = "closed_form(d=-rate * g, theta=theta_0 + 1 - rate * g * t)"
    text = with_theorem("t, theta_0, g, rate", claim, ", mu=0")
    with pytest.raises(ProofFailure, match="at t = 0"):
        derive_optimizer(written(text))


@pytest.mark.parametrize(
    ("arguments", "claim", "message"),
    [
        ("theta, h", "one_step(theta=theta)", "give its domain"),
        ("theta", "one_step(velocity=theta)", "computes no velocity"),
        ("theta", "theta", "return closed_form"),
        ("theta", "one_step(theta='theta')", "give a number or a formula"),
        ("theta", "limit(theta, theta, 0, theta=theta)", "rests on a closed form"),
    ],
)
def test_statement_that_is_no_claim_is_refused(
    written: Load, arguments: str, claim: str, message: str
) -> None:
    with pytest.raises(NotationError, match=message):
        derive_optimizer(written(with_theorem(arguments, claim)))


def test_value_for_an_unknown_hyperparameter_is_refused(written: Load) -> None:
    with pytest.raises(NotationError, match="no hyperparameter momentum"):
        derive_optimizer(written(with_theorem("theta", "one_step(theta=theta)", ", momentum=0")))


def test_derivation_survives_pickling(derived: Derived) -> None:
    """Workers send derivations to the main process; the script's function stays behind."""
    copy = pickle.loads(pickle.dumps(derived["adam"]))  # noqa: S301 - our own bytes
    assert copy.proof_id == derived["adam"].proof_id
    assert copy.theorems == derived["adam"].theorems


def test_proof_id_depends_on_rule_and_theorems(derived: Derived) -> None:
    made = derived["momentum"]
    fewer = replace(made, theorems=made.theorems[1:])
    other = replace(made, rule=derived["nesterov"].rule)
    assert len({made.proof_id, fewer.proof_id, other.proof_id}) == 3
