"""Layers as strangers write them: named and unnamed values, operators and function names, layers
called from layers."""

from gradwright.codegen.notation import *
from gradwright.derivations.activations import gelu, relu, silu
from gradwright.derivations.linear import linear
from gradwright.derivations.losses import half_squared_error, softmax_cross_entropy
from gradwright.derivations.normalisation import layernorm
from gradwright.derivations.softmax import log_softmax, softmax


@layer
def rms2(X: Matrix[N, K], gamma: Row[K], epsilon: Positive = 1e-5):
    A = X * column_repeat(inv_sqrt(rows_mean(square(X)) + epsilon), K)
    return A * row_repeat(gamma, N) * column_repeat(inv_sqrt(rows_mean(square(A)) + epsilon), K)


@layer
def residual_layernorm(X: Matrix[N, K], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5):
    return X + layernorm(X, gamma, beta, epsilon)


@layer
def mlp_gelu(X: Matrix[N, D], W1: Matrix[H, D], b1: Row[H], W2: Matrix[K, H], b2: Row[K]):
    A = X @ W1.T + row_repeat(b1, N)
    B = gelu(A)
    return B @ W2.T + row_repeat(b2, N)


@layer
def swiglu(X: Matrix[N, D], W: Matrix[H, D], V: Matrix[H, D]):
    return silu(X @ W.T) * (X @ V.T)


@layer
def glu(X: Matrix[N, D], W: Matrix[H, D], b: Row[H], V: Matrix[H, D], c: Row[H]):
    return (X @ W.T + row_repeat(b, N)) * sigmoid(X @ V.T + row_repeat(c, N))


@layer
def attention_raw(Q: Matrix[N, D], S: Matrix[M, D], V: Matrix[M, K]):
    E = exp(Q @ S.T / sqrt(D))
    A = E / column_repeat(rows_sum(E), M)
    return A @ V


@layer
def self_attention(X: Matrix[N, D], Wq: Matrix[H, D], Wk: Matrix[H, D], Wv: Matrix[K, D]):
    q = X @ Wq.T
    k = X @ Wk.T
    v = X @ Wv.T
    return softmax(q @ k.T / sqrt(H)) @ v


@layer
def linear_batchnorm_relu(
    X: Matrix[N, D], W: Matrix[K, D], gamma: Row[K], beta: Row[K], epsilon: Positive = 1e-5
):
    Z = X @ W.T
    mu = columns_mean(Z)
    R = Z - row_repeat(mu, N)
    s = inv_sqrt(columns_mean(square(R)) + epsilon)
    return relu(R * row_repeat(s * gamma, N) + row_repeat(beta, N))


@layer
def cosine_similarity(A: Matrix[N, D], B: Matrix[N, D], epsilon: Positive = 1e-8):
    num = rows_sum(A * B)
    den = sqrt(rows_sum(square(A)) + epsilon) * sqrt(rows_sum(square(B)) + epsilon)
    return num / den


@layer
def cosine_matrix(A: Matrix[N, D], B: Matrix[M, D]):
    a = A / column_repeat(sqrt(rows_sum(A * A)), D)
    b = B / column_repeat(sqrt(rows_sum(B * B)), D)
    return a @ b.T


@layer
def whole_norm(X: Matrix[N, K], epsilon: Positive = 1e-5):
    m = elements_sum(X) / (N * K)
    R = X - m
    v = elements_sum(R * R) / (N * K)
    return R * inv_sqrt(v + epsilon)


@layer
def focal(Z: Matrix[N, K], T: Target[N, K]):
    P_ = softmax(Z)
    return -elements_sum(T * square(1 - P_) * log(P_)) / N


@layer
def focal_binary(Z: Matrix[N, K], T: Target[N, K]):
    p = sigmoid(Z)
    return elements_sum(-T * square(1 - p) * log(p) - (1 - T) * square(p) * log(1 - p)) / N


@layer
def triplet(A: Matrix[N, D], B: Matrix[N, D], C: Matrix[N, D], margin: Positive = 1.0):
    dp = rows_sum(square(A - B))
    dn = rows_sum(square(A - C))
    return elements_sum(relu(dp - dn + margin)) / N


@layer
def contrastive(A: Matrix[N, D], B: Matrix[N, D], temperature: Positive = 0.1):
    L_ = log_softmax(A @ B.T / temperature)
    return -elements_sum(diag(L_)) / N


@layer
def contrastive_pairs(A: Matrix[N, D], B: Matrix[N, D], T: Constant[N, 1], margin: Positive = 1.0):
    d2 = rows_sum(square(A - B))
    d = sqrt(d2 + Rational(1, 100000000))
    return elements_sum(T * d2 + (1 - T) * square(relu(margin - d))) / (2 * N)


@layer
def bilinear(X: Matrix[N, D], W: Matrix[D, K], Z: Matrix[M, K]):
    return X @ W @ Z.T


@layer
def lora(X: Matrix[N, D], W: Constant[K, D], A: Matrix[H, D], B: Matrix[K, H], alpha: Real = 16.0):
    return X @ W.T + alpha / H * (X @ A.T) @ B.T


@layer
def rbf(X: Matrix[N, D], C: Matrix[M, D], gamma: Positive = 0.5):
    d2 = (
        column_repeat(rows_sum(square(X)), M) + row_repeat(rows_sum(square(C)).T, N) - 2 * (X @ C.T)
    )
    return exp(-gamma * d2)


@layer
def pairwise_distance(X: Matrix[N, D], C: Matrix[M, D], epsilon: Positive = 1e-3):
    d2 = column_repeat(rows_sum(square(X)), M) + row_repeat(rows_sum(square(C)).T, N) - 2 * X @ C.T
    return sqrt(d2 + epsilon)


@layer
def gaussian_nll2(mu: Matrix[N, K], var: Matrix[N, K], T: Constant[N, K], epsilon: Positive = 1e-3):
    v = softplus(var) + epsilon
    return elements_sum(log(v) + square(T - mu) / v) / (2 * N)


@layer
def poisson(Z: Matrix[N, K], T: Target[N, K]):
    return batch_mean(elements_sum(exp(Z) - T * Z), N)


@layer
def kl_gaussians(mu: Matrix[N, K], logvar: Matrix[N, K]):
    return -elements_sum(1 + logvar - square(mu) - exp(logvar)) / 2 / N


@layer
def huber(Y: Matrix[N, K], T: Target[N, K], delta: Positive = 1.0):
    return (
        elements_sum(
            apply(
                lambda r, d: Piecewise((r**2 / 2, Abs(r) <= d), (d * (Abs(r) - d / 2), True)),
                Y - T,
                delta,
            )
        )
        / N
    )


@layer
def logcosh(Y: Matrix[N, K], T: Target[N, K]):
    return batch_mean(elements_sum(apply(lambda x: log(cosh(x)), Y - T)), N * K)


@layer
def tempered_softmax(Z: Matrix[N, K], tau: Positive = 2.0):
    E = exp(Z / tau)
    return E / column_repeat(rows_sum(E), K)


@layer
def softmax_columns_T(Z: Matrix[N, K]):
    return softmax(Z.T).T


@layer
def entropy2(Z: Matrix[N, K]):
    lp = log_softmax(Z)
    return -elements_sum(exp(lp) * lp) / N


@layer
def maxpool(X: Matrix[N, K]):
    return rows_max(X)


@layer
def lse_hand(Z: Matrix[N, K]):
    m = rows_max(Z)
    return m + log(rows_sum(exp(Z - column_repeat(m, K))))


@layer
def swish_beta(X: Matrix[N, K], b: Scalar):
    return X * sigmoid(b * X)


@layer
def prelu(X: Matrix[N, K], a: Row[K]):
    return relu(X) - row_repeat(a, N) * relu(-X)


@layer
def hill(X: Matrix[N, K], v: Row[K], k: Row[K]):
    S = square(X)
    return row_repeat(v, N) * S / (row_repeat(k * k, N) + S)


@layer
def michaelis(X: Matrix[N, K], v: Scalar, k: Scalar):
    return v * X / (k + X)


@layer
def weight_norm(X: Matrix[N, D], V: Matrix[K, D], g: Column[K]):
    W = V * column_repeat(g / sqrt(rows_sum(square(V))), D)
    return X @ W.T


@layer
def standardised_linear(X: Matrix[N, D], W: Matrix[K, D], epsilon: Positive = 1e-5):
    R = W - column_repeat(rows_mean(W), D)
    What = R * column_repeat(inv_sqrt(rows_mean(square(R)) + epsilon), D)
    return X @ What.T


@layer
def gram_chain3(X: Matrix[N, D]):
    G = X @ X.T
    return elements_sum((G @ G) * (G @ G))


@layer
def decorrelation(X: Matrix[N, D]):
    R = X - row_repeat(columns_mean(X), N)
    C = R.T @ R / N
    return elements_sum(square(C)) - elements_sum(square(diag(C)))


@layer
def gated_residual(X: Matrix[N, D], W: Matrix[D, D], b: Row[D]):
    g = sigmoid(X @ W.T + row_repeat(b, N))
    return g * tanh(X) + (1 - g) * X


@layer
def batchnorm_l1(X: Matrix[N, K], epsilon: Positive = 1e-5):
    R = X - row_repeat(columns_mean(X), N)
    return R / row_repeat(columns_mean(abs(R)) + epsilon, N)


@layer
def diag_scale_T(X: Matrix[N, K], u: Column[K]):
    return X @ Diag(u).T


@layer
def squeeze_excite(X: Matrix[N, K], b: Column[N]):
    s = rows_mean(X)
    return X * column_repeat(sigmoid(s + b), K)


@layer
def mixture(X: Matrix[N, D], G: Matrix[K, D], E: Matrix[K, D]):
    w = softmax(X @ G.T)
    return rows_sum(w * (X @ E.T))


@layer
def dice(Z: Matrix[N, K], T: Target[N, K], eps: Positive = 1.0):
    p = sigmoid(Z)
    return 1 - (2 * elements_sum(p * T) + eps) / (elements_sum(p) + elements_sum(T) + eps)


@layer
def factorisation_machine(X: Matrix[N, D], V: Matrix[D, K]):
    return (rows_sum(square(X @ V)) - rows_sum(square(X) @ square(V))) / 2


@layer
def residual_mlp(X: Matrix[N, D], W1: Matrix[H, D], W2: Matrix[D, H], gamma: Row[D], beta: Row[D]):
    return X + gelu(layernorm(X, gamma, beta) @ W1.T) @ W2.T


@layer
def linear_attention(Q: Matrix[N, D], S: Matrix[M, D], V: Matrix[M, K]):
    q = exp(Q)
    k = exp(S)
    return (q @ (k.T @ V)) / column_repeat(q @ columns_sum(k).T, K)


@layer
def nlnet(
    X: Matrix[N, D], W1: Matrix[H, D], b1: Row[H], W2: Matrix[K, H], b2: Row[K], T: Target[N, K]
):
    return softmax_cross_entropy(linear(relu(linear(X, W1, b1)), W2, b2), T)


@layer
def gru_cell(
    X: Matrix[N, D],
    h: Matrix[N, H],
    Wz: Matrix[H, D],
    Uz: Matrix[H, H],
    Wr: Matrix[H, D],
    Ur: Matrix[H, H],
    Wh: Matrix[H, D],
    Uh: Matrix[H, H],
):
    z = sigmoid(X @ Wz.T + h @ Uz.T)
    r = sigmoid(X @ Wr.T + h @ Ur.T)
    n = tanh(X @ Wh.T + (r * h) @ Uh.T)
    return (1 - z) * n + z * h


@layer
def transformer_block(
    X: Matrix[N, D],
    g1: Row[D],
    c1: Row[D],
    Wq: Matrix[H, D],
    Wk: Matrix[H, D],
    Wv: Matrix[D, D],
    g2: Row[D],
    c2: Row[D],
    W1: Matrix[K, D],
    W2: Matrix[D, K],
):
    U = layernorm(X, g1, c1)
    A = softmax((U @ Wq.T) @ (U @ Wk.T).T / sqrt(H))
    Y1 = X + A @ (U @ Wv.T)
    return Y1 + gelu(layernorm(Y1, g2, c2) @ W1.T) @ W2.T


@layer
def autoencoder(X: Matrix[N, D], W: Matrix[H, D], b: Row[H], V: Matrix[D, H], c: Row[D]):
    code = sigmoid(linear(X, W, b))
    back = linear(code, V, c)
    return half_squared_error(back, X)


@layer
def vae_loss(
    mu: Matrix[N, K], logvar: Matrix[N, K], eps: Constant[N, K], W: Matrix[D, K], X: Constant[N, D]
):
    z = mu + exp(logvar / 2) * eps
    rec = elements_sum(square(z @ W.T - X)) / (2 * N)
    kl = -elements_sum(1 + logvar - square(mu) - exp(logvar)) / (2 * N)
    return rec + kl


@layer
def infonce_symmetric(A: Matrix[N, D], B: Matrix[N, D], tau: Positive = 0.5):
    S = A @ B.T / tau
    return -(elements_sum(diag(log_softmax(S))) + elements_sum(diag(log_softmax(S.T)))) / (2 * N)


@layer
def group_like(X: Matrix[N, K], g: Row[K], b: Row[K], eps: Positive = 1e-5):
    m = elements_sum(X) / (N * K)
    v = elements_sum(square(X - m)) / (N * K)
    return row_repeat(g, N) * (X - m) / sqrt(v + eps) + row_repeat(b, N)


@layer
def kernel_ridge(X: Matrix[N, D], a: Column[M], C: Matrix[M, D], g: Positive = 0.3):
    d = column_repeat(rows_sum(square(X)), M) + row_repeat(rows_sum(square(C)).T, N) - 2 * X @ C.T
    return exp(-g * d) @ a


@layer
def maxnorm(X: Matrix[N, K]):
    return X / column_repeat(rows_max(abs(X)) + 1, K)


@layer
def softmax_temp_learn(Z: Matrix[N, K], t: Scalar):
    return softmax(Z * exp(t))


@layer
def pnorm(X: Matrix[N, K]):
    return (rows_sum(square(X)) + 1) ** 0.5


@layer
def scalar_mix(A: Matrix[N, K], B: Matrix[N, K], t: Scalar):
    a = sigmoid(t)
    return a * A + (1 - a) * B


@layer
def convolution(X: Matrix[N, D], before: Scalar, at: Scalar, after: Scalar, S: Constant[D, D]):
    """Three weights along the features, as a matrix with three diagonals; S shifts by one."""
    return before * (X @ S.T) + at * X + after * (X @ S)


@layer
def recurrence(X: Matrix[N, D], W: Matrix[H, D], U: Matrix[H, H], S: Constant[N, N]):
    """Three steps of a recurrent layer over rows in time; S shifts by one step."""
    A = tanh(X @ W.T)
    B = tanh(X @ W.T + S @ A @ U.T)
    return tanh(X @ W.T + S @ B @ U.T)


@layer
def causal_mixing(X: Matrix[N, D], A: Matrix[N, N], L: Constant[N, N]):
    """Every row is a sum of those before it: weights of a lower triangle."""
    return hadamard(L, A) @ X
