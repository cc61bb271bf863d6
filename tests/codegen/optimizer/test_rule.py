"""Update rules are read as the script writes them, or refused with one clear line."""

from collections.abc import Callable

import pytest

from gradwright.codegen.errors import NotationError, ShapeError
from gradwright.codegen.optimizer import Optimizer, OptimizerDerivation
from gradwright.codegen.text import to_text

Load = Callable[[str], Optimizer]
HEAD = "@optimizer\ndef own(theta: Parameter, g: Gradient, d: State, rate: NonNegative = 0.1):\n"


def test_names_and_order_of_the_script_survive(derived: dict[str, OptimizerDerivation]) -> None:
    rule = derived["adam"].rule
    assert [name for name, _ in rule.definitions] == ["h", "m_next", "m_hat", "v_next", "v_hat"]
    assert [to_text(expr) for _, expr in rule.updates] == [
        "theta - learning_rate * m_hat / (sqrt(v_hat) + epsilon)", "m_next", "v_next",
    ]  # fmt: skip


def test_roles_and_defaults_are_read(derived: dict[str, OptimizerDerivation]) -> None:
    rule = derived["adam"].rule
    assert (rule.parameter, rule.gradient, rule.step) == ("theta", "g", "t")
    assert rule.states == ("m", "v")
    found = {i.name: (i.domain, i.default) for i in rule.hyperparameters}
    assert found == {
        "learning_rate": ("nonnegative", 0.001), "beta1": ("unit", 0.9),
        "beta2": ("unit", 0.999), "epsilon": ("positive", 1e-8),
        "weight_decay": ("nonnegative", 0.0),
    }  # fmt: skip


@pytest.mark.parametrize("mixed", ["rows_sum(g @ g.T)", "elements_sum(g)", "columns_mean(g)"])
def test_rule_that_mixes_entries_is_refused(written: Load, mixed: str) -> None:
    optimizer = written(HEAD + f"    return update(theta=theta - rate * {mixed}, d=d)\n")
    with pytest.raises(ShapeError, match=r"own.py:\d+"):
        optimizer.rule()


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        ("update(theta=theta - rate * g)", "d=..."),
        ("update(theta=theta, d=d, other=g)", "updates theta, d, other"),
        ("theta - rate * g", "return update"),
        ("None", "return update"),
    ],
)
def test_result_must_update_parameter_and_states(
    written: Load, returned: str, message: str
) -> None:
    with pytest.raises(NotationError, match=message):
        written(HEAD + f"    return {returned}\n").rule()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("theta: Parameter, d: State", "0 gradient"),
        ("theta: Parameter, phi: Parameter, g: Gradient", "2 parameter"),
        ("theta: Parameter, d: State, g: Gradient", "order"),
        ("theta: Parameter, g: Matrix[N, K]", "no role"),
        ("theta: Parameter, g", "no role"),
        ("theta: Parameter, g: Gradient, dtype: State", "reserved"),
        ("theta: Parameter, g: Gradient, rate: Positive = 'x'", "give a number"),
    ],
)
def test_arguments_that_make_no_rule_are_refused(
    written: Load, arguments: str, message: str
) -> None:
    text = f"@optimizer\ndef own({arguments}):\n    return update(theta=theta)\n"
    with pytest.raises(NotationError, match=message):
        written(text).rule()


def test_power_of_the_step_needs_a_scalar(written: Load) -> None:
    text = (
        "@optimizer\ndef own(theta: Parameter, g: Gradient, t: Step):\n"
        "    return update(theta=theta - g**t)\n"
    )
    with pytest.raises(ShapeError, match="scalar base"):
        written(text).rule()


def test_optimizer_without_theorems_is_refused(written: Load) -> None:
    from gradwright.codegen.optimizer import derive_optimizer

    with pytest.raises(NotationError, match="no theorem"):
        derive_optimizer(written(HEAD + "    return update(theta=theta - rate * g, d=d)\n"))
