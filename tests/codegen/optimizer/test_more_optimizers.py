"""Further optimizers are nothing but further scripts, for every target."""

from collections.abc import Callable

import pytest

from gradwright.codegen.optimizer import Optimizer, derive_optimizer, verify_optimizer
from gradwright.codegen.optimizer.mutants import judge
from gradwright.codegen.targets.cpp_optimizer import render_cpp
from gradwright.codegen.targets.numpy_optimizer import render_numpy
from gradwright.codegen.verify.floating import load_numpy

Load = Callable[[str], Optimizer]

SCRIPTS = {
    "rmsprop": """
@optimizer
def rmsprop(theta: Parameter, g: Gradient, v: State, rate: NonNegative = 0.001,
            rho: UnitInterval = 0.9, epsilon: Positive = 1e-7):
    v_next = rho * v + (1 - rho) * g**2
    return update(theta=theta - rate * g / (sqrt(v_next) + epsilon), v=v_next)


@theorem(rmsprop)
def all_gradients(t, theta_0, g: Sequence, rate, rho, epsilon):
    def v(t):
        return (1 - rho) * total(t, lambda i: rho ** (t - i) * g[i] ** 2)

    way = total(t, lambda i: g[i] / (sqrt(v(i)) + epsilon))
    return closed_form(v=v(t), theta=theta_0 - rate * way)
""",
    "adagrad": """
@optimizer
def adagrad(theta: Parameter, g: Gradient, s: State, rate: NonNegative = 0.01,
            epsilon: Positive = 1e-7):
    s_next = s + g**2
    return update(theta=theta - rate * g / (sqrt(s_next) + epsilon), s=s_next)


@theorem(adagrad)
def all_gradients(t, theta_0, g: Sequence, rate, epsilon):
    def s(t):
        return total(t, lambda i: g[i] ** 2)

    way = total(t, lambda i: g[i] / (sqrt(s(i)) + epsilon))
    return closed_form(s=s(t), theta=theta_0 - rate * way)
""",
    "lion": """
@optimizer
def lion(theta: Parameter, g: Gradient, m: State, rate: NonNegative = 1e-4,
         beta1: UnitInterval = 0.9, beta2: UnitInterval = 0.99, decay: NonNegative = 0.1):
    c = beta1 * m + (1 - beta1) * g
    return update(theta=theta - rate * (sign(c) + decay * theta), m=beta2 * m + (1 - beta2) * g)


@theorem(lion)
def step(theta, m, g, rate, beta1, beta2, decay):
    shrunk = (1 - rate * decay) * theta
    c = beta1 * m + (1 - beta1) * g
    return one_step(theta=shrunk - rate * sign(c), m=beta2 * m + (1 - beta2) * g)
""",
    "adamw": """
from gradwright.derivations.optimizers import adam


@optimizer
def adamw(theta: Parameter, g: Gradient, m: State, v: State, t: Step, learning_rate: NonNegative,
          beta1: UnitInterval, beta2: UnitInterval, epsilon: Positive, decay: NonNegative):
    m_next = beta1 * m + (1 - beta1) * g
    v_next = beta2 * v + (1 - beta2) * g**2
    way = m_next / (1 - beta1**t) / (sqrt(v_next / (1 - beta2**t)) + epsilon)
    return update(theta=theta - learning_rate * (way + decay * theta), m=m_next, v=v_next)


@theorem(adamw, decay=0)
def without_decay():
    return same_step(adam, weight_decay=0)


@theorem(adamw)
def decay_comes_first(theta, g, m, v, t, learning_rate, beta1, beta2, epsilon, decay):
    way = (beta1 * m + (1 - beta1) * g) / (1 - beta1**t)
    way = way / (sqrt((beta2 * v + (1 - beta2) * g**2) / (1 - beta2**t)) + epsilon)
    return one_step(theta=(1 - learning_rate * decay) * theta - learning_rate * way)
""",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_is_proved_emitted_and_verified(written: Load, name: str) -> None:
    made = derive_optimizer(written(SCRIPTS[name]))
    module = load_numpy(render_numpy(made)[f"{name}.py"], name)
    assert set(render_cpp(made)) == {f"{name}.hpp", f"bindings/{name}.cpp", f"{name}.pyi"}
    verification = verify_optimizer(made, {"numpy": module})
    assert verification["P5"]["passed"] == verification["P5"]["total"] >= 13
    assert verification["mutants"]["killed"] == verification["mutants"]["total"] >= 10


def test_rule_whose_updates_read_one_another_keeps_the_old_values(written: Load) -> None:
    """The state is updated from the old parameter, which the step replaces first."""
    made = derive_optimizer(written("""
@optimizer
def averaged(theta: Parameter, g: Gradient, mean: State, rate: NonNegative = 0.5):
    return update(theta=theta - rate * g, mean=(mean + theta) / 2)


@theorem(averaged)
def step(theta, g, mean, rate):
    return one_step(theta=theta - rate * g, mean=(mean + theta) / 2)
"""))
    module = load_numpy(render_numpy(made)["averaged.py"], "averaged")
    assert verify_optimizer(made, {"numpy": module})["P1"] == "proved"
    assert not [v for v in judge(made.rule, made.theorems) if v.survives]
