"""Optimizers: one step as a definition, and theorems about what many steps do.

Sources: Cauchy (1847) for gradient descent, Polyak (1964) for momentum, Nesterov (1983) in the
form of Keras, Hinton (2012) for RMSprop, Duchi et al. (2011) for AdaGrad, Kingma and Ba (2015) for
Adam, Loshchilov and Hutter (2019) for AdamW, Chen et al. (2023) for Lion. Every theorem is proved for
every number of steps t. Weight decay is coupled, a part of the gradient, except in AdamW and Lion.
"""

from gradwright.codegen.notation import *


@optimizer
def gradient_descent(theta: Parameter, g: Gradient, learning_rate: NonNegative = 0.01,
                     weight_decay: NonNegative = 0.0):  # fmt: skip
    """Gradient descent: a step against the gradient."""
    return update(theta=theta - learning_rate * (g + weight_decay * theta))


@theorem(gradient_descent, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate):
    """The parameter moves by the sum of all gradients."""
    return closed_form(theta=theta_0 - learning_rate * total(t, lambda i: g[i]))


@theorem(gradient_descent)
def quadratic_loss(t, theta_0, theta, learning_rate, weight_decay, a: Real):
    """On the loss a theta^2 / 2 the parameter shrinks geometrically; weight decay adds curvature."""
    rate = 1 - learning_rate * (a + weight_decay)
    return closed_form(loss=a * theta**2 / 2, theta=rate**t * theta_0)


@theorem(gradient_descent)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(gradient_descent, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["the velocity d is added to the parameter"])
def momentum(theta: Parameter, g: Gradient, d: State,
             learning_rate: NonNegative = 0.01, mu: UnitInterval = 0.9,
             weight_decay: NonNegative = 0.0):  # fmt: skip
    """Momentum: a velocity that remembers earlier gradients moves the parameter."""
    h = g + weight_decay * theta
    d_next = mu * d - learning_rate * h
    return update(theta=theta + d_next, d=d_next)


@theorem(momentum, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate, mu):
    """The velocity is a sum of all gradients, each weighted by a power of mu for its age."""
    d = -learning_rate * total(t, lambda i: mu ** (t - i) * g[i])
    way = total(t, lambda i: (1 - mu ** (t - i + 1)) / (1 - mu) * g[i])
    return closed_form(d=d, theta=theta_0 - learning_rate * way)


@theorem(momentum, weight_decay=0)
def constant_gradient(t, theta_0, g, learning_rate, mu):
    """Under a constant gradient the velocity approaches -learning_rate g / (1 - mu)."""
    memory = (1 - mu**t) / (1 - mu)
    way = (t - mu * memory) / (1 - mu)
    return closed_form(d=-learning_rate * g * memory, theta=theta_0 - learning_rate * g * way)


@theorem(momentum, mu=0)
def without_memory():
    """With mu = 0 it is gradient descent."""
    return same_step(gradient_descent)


@theorem(momentum)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(momentum, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["the parameter is the point ahead at which the gradient is taken"])
def nesterov(theta: Parameter, g: Gradient, d: State,
             learning_rate: NonNegative = 0.01, mu: UnitInterval = 0.9,
             weight_decay: NonNegative = 0.0):  # fmt: skip
    """Nesterov's momentum: the gradient is taken where the velocity is about to lead."""
    h = g + weight_decay * theta
    d_next = mu * d - learning_rate * h
    return update(theta=theta + mu * d_next - learning_rate * h, d=d_next)


@theorem(nesterov, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate, mu):
    """The weights of all gradients are those of momentum, one step ahead."""
    d = -learning_rate * total(t, lambda i: mu ** (t - i) * g[i])
    way = total(t, lambda i: (1 - mu ** (t - i + 2)) / (1 - mu) * g[i])
    return closed_form(d=d, theta=theta_0 - learning_rate * way)


@theorem(nesterov, weight_decay=0)
def look_ahead(theta, d, mu):
    """x = theta - mu d moves by momentum with the gradient taken ahead of it, at x + mu d."""
    return same_step(momentum, theta=theta - mu * d)


@theorem(nesterov, weight_decay=0)
def constant_gradient(t, theta_0, g, learning_rate, mu):
    """Under a constant gradient the velocity approaches -learning_rate g / (1 - mu)."""
    memory = (1 - mu**t) / (1 - mu)
    way = (t - mu**2 * memory) / (1 - mu)
    return closed_form(d=-learning_rate * g * memory, theta=theta_0 - learning_rate * g * way)


@theorem(nesterov, mu=0)
def without_memory():
    """With mu = 0 it is gradient descent."""
    return same_step(gradient_descent)


@theorem(nesterov)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(nesterov, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["epsilon is added outside the root", "the moments are bias-corrected"])
def adam(theta: Parameter, g: Gradient, m: State, v: State, t: Step,
         learning_rate: NonNegative = 0.001, beta1: UnitInterval = 0.9,
         beta2: UnitInterval = 0.999, epsilon: Positive = 1e-8,
         weight_decay: NonNegative = 0.0):  # fmt: skip
    """Adam: the mean of the gradients is scaled by the root of the mean of their squares."""
    h = g + weight_decay * theta
    m_next = beta1 * m + (1 - beta1) * h
    v_next = beta2 * v + (1 - beta2) * h**2
    m_hat = m_next / (1 - beta1**t)
    v_hat = v_next / (1 - beta2**t)
    return update(
        theta=theta - learning_rate * m_hat / (sqrt(v_hat) + epsilon), m=m_next, v=v_next
    )


@theorem(adam, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate, beta1, beta2, epsilon):
    """The moments are weighted means of all gradients and of their squares."""

    def m(t):
        return (1 - beta1) * total(t, lambda i: beta1 ** (t - i) * g[i])

    def v(t):
        return (1 - beta2) * total(t, lambda i: beta2 ** (t - i) * g[i] ** 2)

    def pace(t):
        return m(t) / (1 - beta1**t) / (sqrt(v(t) / (1 - beta2**t)) + epsilon)

    return closed_form(m=m(t), v=v(t), theta=theta_0 - learning_rate * total(t, pace))


@theorem(adam, weight_decay=0)
def constant_gradient(t, theta_0, g, learning_rate, beta1, beta2, epsilon):
    """Under a constant gradient the corrected moments are g and g^2 from the first step on."""
    return closed_form(
        m=(1 - beta1**t) * g, v=(1 - beta2**t) * g**2, m_hat=g, v_hat=g**2,
        theta=theta_0 - t * learning_rate * g / (abs(g) + epsilon),
    )  # fmt: skip


@theorem(adam, weight_decay=0)
def bounded_steps(constant_gradient, learning_rate):
    """Under a constant gradient no step is longer than learning_rate."""
    return step_bound(constant_gradient, theta=learning_rate)


@theorem(adam, weight_decay=0)
def sign_descent(constant_gradient, t, theta_0, g, learning_rate, epsilon):
    """As epsilon vanishes, a constant gradient moves the parameter against its sign."""
    return limit(constant_gradient, epsilon, 0, theta=theta_0 - t * learning_rate * sign(g))


@theorem(adam, beta1=0, beta2=0, weight_decay=0)
def without_memory(theta, g, learning_rate, epsilon):
    """Without memory every step is learning_rate against the gradient's sign, but for epsilon."""
    return one_step(m=g, v=g**2, theta=theta - learning_rate * g / (abs(g) + epsilon))


@theorem(adam)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(adam, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["epsilon is added outside the root", "the moments are bias-corrected",
                        "weight decay is decoupled from the gradient"])  # fmt: skip
def adamw(theta: Parameter, g: Gradient, m: State, v: State, t: Step,
          learning_rate: NonNegative = 0.001, beta1: UnitInterval = 0.9,
          beta2: UnitInterval = 0.999, epsilon: Positive = 1e-8,
          weight_decay: NonNegative = 0.01):  # fmt: skip
    """AdamW: Adam, after the parameter has shrunk by a share of itself."""
    m_next = beta1 * m + (1 - beta1) * g
    v_next = beta2 * v + (1 - beta2) * g**2
    m_hat = m_next / (1 - beta1**t)
    v_hat = v_next / (1 - beta2**t)
    way = m_hat / (sqrt(v_hat) + epsilon) + weight_decay * theta
    return update(theta=theta - learning_rate * way, m=m_next, v=v_next)


@theorem(adamw, weight_decay=0)
def without_decay():
    """Without weight decay it is Adam."""
    return same_step(adam)


@theorem(adamw)
def decay_comes_first(theta, g, m, v, t, learning_rate, beta1, beta2, epsilon, weight_decay):
    """The parameter shrinks by the factor 1 - learning_rate weight_decay, whatever the gradient."""
    m_next = beta1 * m + (1 - beta1) * g
    v_next = beta2 * v + (1 - beta2) * g**2
    pace = m_next / (1 - beta1**t) / (sqrt(v_next / (1 - beta2**t)) + epsilon)
    shrunk = (1 - learning_rate * weight_decay) * theta
    return one_step(m=m_next, v=v_next, theta=shrunk - learning_rate * pace)


@theorem(adamw)
def constant_gradient(t, theta_0, g, learning_rate, beta1, beta2, epsilon, weight_decay):
    """Under a constant gradient the corrected moments are g and g^2, and the parameter approaches
    -g / (|g| + epsilon) / weight_decay geometrically."""
    rest = -g / (abs(g) + epsilon) / weight_decay
    shrinking = (1 - learning_rate * weight_decay) ** t
    return closed_form(
        m=(1 - beta1**t) * g, v=(1 - beta2**t) * g**2, m_hat=g, v_hat=g**2,
        theta=rest + shrinking * (theta_0 - rest),
    )  # fmt: skip


@optimizer(conventions=["epsilon is added outside the root", "the mean of squares starts at 0"])
def rmsprop(theta: Parameter, g: Gradient, v: State, learning_rate: NonNegative = 0.001,
            rho: UnitInterval = 0.9, epsilon: Positive = 1e-8,
            weight_decay: NonNegative = 0.0):  # fmt: skip
    """RMSprop: the gradient is scaled by the root of the mean of its squares."""
    h = g + weight_decay * theta
    v_next = rho * v + (1 - rho) * h**2
    return update(theta=theta - learning_rate * h / (sqrt(v_next) + epsilon), v=v_next)


@theorem(rmsprop, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate, rho, epsilon):
    """The state is a weighted mean of the squares of all gradients."""

    def v(t):
        return (1 - rho) * total(t, lambda i: rho ** (t - i) * g[i] ** 2)

    way = total(t, lambda i: g[i] / (sqrt(v(i)) + epsilon))
    return closed_form(v=v(t), theta=theta_0 - learning_rate * way)


@theorem(rmsprop, weight_decay=0)
def constant_gradient(t, theta_0, g, learning_rate, rho, epsilon):
    """Under a constant gradient the mean of squares approaches g^2, and is 1 - rho^t of it."""
    way = total(t, lambda i: g / (abs(g) * sqrt(1 - rho**i) + epsilon))
    return closed_form(v=(1 - rho**t) * g**2, theta=theta_0 - learning_rate * way)


@theorem(rmsprop, rho=0, weight_decay=0)
def without_memory(theta, g, learning_rate, epsilon):
    """Without memory every step is learning_rate against the gradient's sign, but for epsilon."""
    return one_step(v=g**2, theta=theta - learning_rate * g / (abs(g) + epsilon))


@theorem(rmsprop)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(rmsprop, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["epsilon is added outside the root", "the sum of squares starts at 0"])
def adagrad(theta: Parameter, g: Gradient, s: State, learning_rate: NonNegative = 0.01,
            epsilon: Positive = 1e-10, weight_decay: NonNegative = 0.0):  # fmt: skip
    """AdaGrad: the gradient is scaled by the root of the sum of all its squares."""
    h = g + weight_decay * theta
    s_next = s + h**2
    return update(theta=theta - learning_rate * h / (sqrt(s_next) + epsilon), s=s_next)


@theorem(adagrad, weight_decay=0)
def all_gradients(t, theta_0, g: Sequence, learning_rate, epsilon):
    """The state is the sum of the squares of all gradients."""

    def s(t):
        return total(t, lambda i: g[i] ** 2)

    way = total(t, lambda i: g[i] / (sqrt(s(i)) + epsilon))
    return closed_form(s=s(t), theta=theta_0 - learning_rate * way)


@theorem(adagrad, weight_decay=0)
def shrinking_pace(theta, g, s, learning_rate, epsilon):
    """A step with a sum of s is gradient descent at the pace learning_rate / sqrt(s + g^2)."""
    pace = learning_rate / (sqrt(s + g**2) + epsilon)
    return one_step(theta=theta - pace * g)


@theorem(adagrad)
def decay_is_a_penalty(theta, g, weight_decay):
    """Weight decay is the gradient of the penalty weight_decay theta^2 / 2."""
    return same_step(adagrad, g=g + weight_decay * theta, weight_decay=0)


@optimizer(conventions=["weight decay is decoupled from the gradient", "the sign of 0 is 0"])
def lion(theta: Parameter, g: Gradient, m: State, learning_rate: NonNegative = 1e-4,
         beta1: UnitInterval = 0.9, beta2: UnitInterval = 0.99,
         weight_decay: NonNegative = 0.0):  # fmt: skip
    """Lion: every entry moves by learning_rate, against the sign of an interpolated momentum."""
    c = beta1 * m + (1 - beta1) * g
    way = sign(c) + weight_decay * theta
    return update(theta=theta - learning_rate * way, m=beta2 * m + (1 - beta2) * g)


@theorem(lion)
def decay_comes_first(theta, m, g, learning_rate, beta1, beta2, weight_decay):
    """The parameter shrinks by the factor 1 - learning_rate weight_decay, then moves by its sign."""
    shrunk = (1 - learning_rate * weight_decay) * theta
    c = beta1 * m + (1 - beta1) * g
    return one_step(theta=shrunk - learning_rate * sign(c), m=beta2 * m + (1 - beta2) * g)


@theorem(lion)
def all_gradients(t, g: Sequence, beta2):
    """The momentum is a weighted mean of all gradients."""
    return closed_form(m=(1 - beta2) * total(t, lambda i: beta2 ** (t - i) * g[i]))


@theorem(lion, beta1=0, beta2=0, weight_decay=0)
def without_memory(theta, g, learning_rate):
    """Without memory every step is learning_rate against the gradient's sign."""
    return one_step(m=g, theta=theta - learning_rate * sign(g))
