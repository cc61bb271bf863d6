"""Optimizers: one step as a definition, and theorems about what many steps do.

Sources: Cauchy (1847) for gradient descent, Polyak (1964) for momentum, Nesterov (1983) in the
form of Keras, Kingma and Ba (2015) for Adam. Every theorem is proved for every number of steps t.
"""

from gradwright.codegen.notation import *


@optimizer
def gradient_descent(theta: Parameter, g: Gradient, learning_rate: NonNegative = 0.01):
    """Gradient descent: a step against the gradient."""
    return update(theta=theta - learning_rate * g)


@theorem(gradient_descent)
def all_gradients(t, theta_0, g: Sequence, learning_rate):
    """The parameter moves by the sum of all gradients."""
    return closed_form(theta=theta_0 - learning_rate * total(t, lambda i: g[i]))


@theorem(gradient_descent)
def quadratic_loss(t, theta_0, theta, learning_rate, a: Real):
    """On the loss a theta^2 / 2 the parameter shrinks geometrically."""
    return closed_form(loss=a * theta**2 / 2, theta=(1 - learning_rate * a) ** t * theta_0)


@optimizer(conventions=["the velocity d is added to the parameter"])
def momentum(theta: Parameter, g: Gradient, d: State,
             learning_rate: NonNegative = 0.01, mu: UnitInterval = 0.9):  # fmt: skip
    """Momentum: a velocity that remembers earlier gradients moves the parameter."""
    d_next = mu * d - learning_rate * g
    return update(theta=theta + d_next, d=d_next)


@theorem(momentum)
def all_gradients(t, theta_0, g: Sequence, learning_rate, mu):
    """The velocity is a sum of all gradients, each weighted by a power of mu for its age."""
    d = -learning_rate * total(t, lambda i: mu ** (t - i) * g[i])
    way = total(t, lambda i: (1 - mu ** (t - i + 1)) / (1 - mu) * g[i])
    return closed_form(d=d, theta=theta_0 - learning_rate * way)


@theorem(momentum)
def constant_gradient(t, theta_0, g, learning_rate, mu):
    """Under a constant gradient the velocity approaches -learning_rate g / (1 - mu)."""
    memory = (1 - mu**t) / (1 - mu)
    way = (t - mu * memory) / (1 - mu)
    return closed_form(d=-learning_rate * g * memory, theta=theta_0 - learning_rate * g * way)


@theorem(momentum, mu=0)
def without_memory():
    """With mu = 0 it is gradient descent."""
    return same_step(gradient_descent)


@optimizer(conventions=["the parameter is the point ahead at which the gradient is taken"])
def nesterov(theta: Parameter, g: Gradient, d: State,
             learning_rate: NonNegative = 0.01, mu: UnitInterval = 0.9):  # fmt: skip
    """Nesterov's momentum: the gradient is taken where the velocity is about to lead."""
    d_next = mu * d - learning_rate * g
    return update(theta=theta + mu * d_next - learning_rate * g, d=d_next)


@theorem(nesterov)
def all_gradients(t, theta_0, g: Sequence, learning_rate, mu):
    """The weights of all gradients are those of momentum, one step ahead."""
    d = -learning_rate * total(t, lambda i: mu ** (t - i) * g[i])
    way = total(t, lambda i: (1 - mu ** (t - i + 2)) / (1 - mu) * g[i])
    return closed_form(d=d, theta=theta_0 - learning_rate * way)


@theorem(nesterov)
def look_ahead(theta, d, mu):
    """x = theta - mu d moves by momentum with the gradient taken ahead of it, at x + mu d."""
    return same_step(momentum, theta=theta - mu * d)


@theorem(nesterov)
def constant_gradient(t, theta_0, g, learning_rate, mu):
    """Under a constant gradient the velocity approaches -learning_rate g / (1 - mu)."""
    memory = (1 - mu**t) / (1 - mu)
    way = (t - mu**2 * memory) / (1 - mu)
    return closed_form(d=-learning_rate * g * memory, theta=theta_0 - learning_rate * g * way)


@theorem(nesterov, mu=0)
def without_memory():
    """With mu = 0 it is gradient descent."""
    return same_step(gradient_descent)


@optimizer(conventions=["epsilon is added outside the root", "the moments are bias-corrected"])
def adam(theta: Parameter, g: Gradient, m: State, v: State, t: Step,
         learning_rate: NonNegative = 0.001, beta1: UnitInterval = 0.9,
         beta2: UnitInterval = 0.999, epsilon: Positive = 1e-8):  # fmt: skip
    """Adam: the mean of the gradients is scaled by the root of the mean of their squares."""
    m_next = beta1 * m + (1 - beta1) * g
    v_next = beta2 * v + (1 - beta2) * g**2
    m_hat = m_next / (1 - beta1**t)
    v_hat = v_next / (1 - beta2**t)
    return update(
        theta=theta - learning_rate * m_hat / (sqrt(v_hat) + epsilon), m=m_next, v=v_next
    )


@theorem(adam)
def all_gradients(t, theta_0, g: Sequence, learning_rate, beta1, beta2, epsilon):
    """The moments are weighted means of all gradients and of their squares."""

    def m(t):
        return (1 - beta1) * total(t, lambda i: beta1 ** (t - i) * g[i])

    def v(t):
        return (1 - beta2) * total(t, lambda i: beta2 ** (t - i) * g[i] ** 2)

    def pace(t):
        return m(t) / (1 - beta1**t) / (sqrt(v(t) / (1 - beta2**t)) + epsilon)

    return closed_form(m=m(t), v=v(t), theta=theta_0 - learning_rate * total(t, pace))


@theorem(adam)
def constant_gradient(t, theta_0, g, learning_rate, beta1, beta2, epsilon):
    """Under a constant gradient the corrected moments are g and g^2 from the first step on."""
    return closed_form(
        m=(1 - beta1**t) * g, v=(1 - beta2**t) * g**2, m_hat=g, v_hat=g**2,
        theta=theta_0 - t * learning_rate * g / (abs(g) + epsilon),
    )  # fmt: skip


@theorem(adam)
def bounded_steps(constant_gradient, learning_rate):
    """Under a constant gradient no step is longer than learning_rate."""
    return step_bound(constant_gradient, theta=learning_rate)


@theorem(adam)
def sign_descent(constant_gradient, t, theta_0, g, learning_rate, epsilon):
    """As epsilon vanishes, a constant gradient moves the parameter against its sign."""
    return limit(constant_gradient, epsilon, 0, theta=theta_0 - t * learning_rate * sign(g))


@theorem(adam, beta1=0, beta2=0)
def without_memory(theta, g, learning_rate, epsilon):
    """Without memory every step is learning_rate against the gradient's sign, but for epsilon."""
    return one_step(m=g, v=g**2, theta=theta - learning_rate * g / (abs(g) + epsilon))
