"""Losses with gradients derived by hand, in plain NumPy as people write it: each gradient right as it stands here.

A mistake is planted by a change of a gradient's text; see `planted`.
"""

from typing import Any

import numpy as np

_rng = np.random.default_rng(7)


def _normal(*shape: int, scale: float = 0.6) -> Any:
    return _rng.normal(size=shape) * scale


X = _rng.normal(size=(8, 5))
Y = np.array([0, 2, 1, 3, 0, 2, 2, 1])
T = _rng.normal(size=8)
ONE_HOT = np.eye(4)[Y]
SIGNS = np.where(T > 0, 1.0, -1.0)
BINARY = (T > 0).astype(float)
COUNTS = np.array([0.0, 3, 1, 4, 1, 5, 9, 2])
SEQUENCE = _rng.normal(size=(5, 3))
WEIGHT = _normal(5, 4, scale=1.0)


def mlp(p: Any) -> Any:
    h = np.tanh(X @ p["W1"] + p["b1"])
    z = h @ p["W2"] + p["b2"]
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    probs = e / np.sum(e, axis=1, keepdims=True)
    return -np.sum(np.log(probs[np.arange(8), Y])) / 8 + 0.05 * np.sum(p["W1"] ** 2) + 0.05 * np.sum(p["W2"] ** 2)


def mlp_gradient(p: Any) -> Any:
    h = np.tanh(X @ p["W1"] + p["b1"])
    z = h @ p["W2"] + p["b2"]
    e = np.exp(z - np.max(z, axis=1, keepdims=True))
    probs = e / np.sum(e, axis=1, keepdims=True)
    dz = probs.copy()
    dz[np.arange(8), Y] -= 1
    dz /= 8
    dW2 = h.T @ dz + 0.1 * p["W2"]
    db2 = dz.sum(axis=0)
    dh = dz @ p["W2"].T
    da = dh * (1 - h**2)
    dW1 = X.T @ da + 0.1 * p["W1"]
    db1 = da.sum(axis=0)
    return {"W1": dW1, "b1": db1, "W2": dW2, "b2": db2}


MLP = {"W1": _normal(5, 6), "b1": _normal(6), "W2": _normal(6, 4), "b2": _normal(4)}


def softmax_regression(W: Any, b: Any) -> Any:
    z = X @ W + b
    return np.mean(np.log(np.sum(np.exp(z), axis=1)) - np.sum(ONE_HOT * z, axis=1))


def softmax_regression_gradient(W: Any, b: Any) -> Any:
    z = X @ W + b
    e = np.exp(z)
    p = e / e.sum(axis=1, keepdims=True)
    d = (p - ONE_HOT) / len(X)
    return X.T @ d, d.sum(axis=0)


SOFTMAX_REGRESSION = (_normal(5, 4), _normal(4))


def rnn(p: Any) -> Any:
    h, loss = np.ones(4) / 3, 0.0
    for x in SEQUENCE:
        h = np.tanh(x @ p["Wx"] + h @ p["Wh"] + p["b"])
        y = h @ p["Wy"]
        loss = loss + np.sum((y - x[:2]) ** 2) / 2
    return loss


def rnn_gradient(p: Any) -> Any:
    hs = [np.ones(4) / 3]
    dys = []
    for x in SEQUENCE:
        hs.append(np.tanh(x @ p["Wx"] + hs[-1] @ p["Wh"] + p["b"]))
        dys.append(hs[-1] @ p["Wy"] - x[:2])
    d = {name: np.zeros_like(w) for name, w in p.items()}
    dh_next = np.zeros(4)
    for t in reversed(range(len(SEQUENCE))):
        d["Wy"] += np.outer(hs[t + 1], dys[t])
        dh = p["Wy"] @ dys[t] + dh_next
        da = (1 - hs[t + 1] ** 2) * dh
        d["b"] += da
        d["Wx"] += np.outer(SEQUENCE[t], da)
        d["Wh"] += np.outer(hs[t], da)
        dh_next = p["Wh"] @ da
    return d


RNN = {"Wx": _normal(3, 4), "Wh": _normal(4, 4), "b": _normal(4), "Wy": _normal(4, 2)}


def lstm(p: Any) -> Any:
    h, c = np.zeros(3), np.zeros(3)
    for x in SEQUENCE[:3]:
        z = x @ p["W"] + h @ p["U"] + p["b"]
        i, f, o = (1 / (1 + np.exp(-z[3 * k : 3 * k + 3])) for k in range(3))
        g = np.tanh(z[9:])
        c = f * c + i * g
        h = o * np.tanh(c)
    return np.sum(h * np.array([1.0, -2.0, 0.5]))


def lstm_gradient(p: Any) -> Any:
    h, c = np.zeros(3), np.zeros(3)
    cache = []
    for x in SEQUENCE[:3]:
        z = x @ p["W"] + h @ p["U"] + p["b"]
        i, f, o = (1 / (1 + np.exp(-z[3 * k : 3 * k + 3])) for k in range(3))
        g = np.tanh(z[9:])
        cache.append((x, h, c, i, f, o, g))
        c = f * c + i * g
        h = o * np.tanh(c)
        cache[-1] += (c,)
    dW, dU, db = np.zeros_like(p["W"]), np.zeros_like(p["U"]), np.zeros_like(p["b"])
    dh, dc = np.array([1.0, -2.0, 0.5]), np.zeros(3)
    for x, h, c_prev, i, f, o, g, c in cache[::-1]:
        do = dh * np.tanh(c)
        dc = dc + dh * o * (1 - np.tanh(c) ** 2)
        di, df, dg = dc * g, dc * c_prev, dc * i
        dz = np.concatenate([di * i * (1 - i), df * f * (1 - f), do * o * (1 - o), dg * (1 - g**2)])
        dW += np.outer(x, dz)
        dU += np.outer(h, dz)
        db += dz
        dh = p["U"] @ dz
        dc = dc * f
    return {"W": dW, "U": dU, "b": db}


LSTM = {"W": _normal(3, 12), "U": _normal(3, 12), "b": _normal(12)}


def attention(Wq: Any, Wk: Any, Wv: Any) -> Any:
    q, k, v = SEQUENCE @ Wq, SEQUENCE @ Wk, SEQUENCE @ Wv
    s = q @ k.T / np.sqrt(4)
    e = np.exp(s - np.max(s, axis=1, keepdims=True))
    a = e / np.sum(e, axis=1, keepdims=True)
    return np.sum((a @ v) * WEIGHT)


def attention_gradient(Wq: Any, Wk: Any, Wv: Any) -> Any:
    q, k, v = SEQUENCE @ Wq, SEQUENCE @ Wk, SEQUENCE @ Wv
    s = q @ k.T / np.sqrt(4)
    e = np.exp(s - np.max(s, axis=1, keepdims=True))
    a = e / np.sum(e, axis=1, keepdims=True)
    dv = a.T @ WEIGHT
    da = WEIGHT @ v.T
    ds = a * (da - np.sum(da * a, axis=1, keepdims=True))
    ds = ds / np.sqrt(4)
    dq = ds @ k
    dk = ds.T @ q
    return SEQUENCE.T @ dq, SEQUENCE.T @ dk, SEQUENCE.T @ dv


ATTENTION = (_normal(3, 4), _normal(3, 4), _normal(3, 4))
IMAGE = _rng.normal(size=(6, 6))
PROJECTION = _normal(4, 4, scale=1.0)


def conv(k: Any, b: Any) -> Any:
    rows = []
    for i in range(4):
        row = []
        for j in range(4):
            row.append(np.sum(IMAGE[i : i + 3, j : j + 3] * k) + b)
        rows.append(np.stack(row))
    out = np.maximum(np.stack(rows), 0)
    return np.sum(out * PROJECTION)


def conv_gradient(k: Any, b: Any) -> Any:
    dk, db = np.zeros((3, 3)), 0.0
    for i in range(4):
        for j in range(4):
            z = np.sum(IMAGE[i : i + 3, j : j + 3] * k) + b
            d = PROJECTION[i, j] * (z > 0)
            dk += d * IMAGE[i : i + 3, j : j + 3]
            db += d
    return dk, db


CONV = (_normal(3, 3), 0.2)


def conv_input(x: Any) -> Any:
    rows = []
    for i in range(4):
        for j in range(4):
            rows.append(np.sum(x[i : i + 3, j : j + 3] * IMAGE[:3, :3]))
    return np.sum(np.stack(rows) ** 2) / 2


def conv_input_gradient(x: Any) -> Any:
    dx = np.zeros_like(x)
    for i in range(4):
        for j in range(4):
            d = np.sum(x[i : i + 3, j : j + 3] * IMAGE[:3, :3])
            dx[i : i + 3, j : j + 3] += d * IMAGE[:3, :3]
    return dx


CONV_INPUT = (_normal(6, 6),)


def logistic(w: Any, b: Any) -> Any:
    p = 1 / (1 + np.exp(-(X @ w + b)))
    return -np.mean(BINARY * np.log(p) + (1 - BINARY) * np.log(1 - p)) + 0.01 * np.sum(w**2)


def logistic_gradient(w: Any, b: Any) -> Any:
    z = X @ w + b
    p = 1 / (1 + np.exp(-z))
    r = p - BINARY
    return X.T @ r / len(X) + 0.02 * w, np.mean(r)


LOGISTIC = (_normal(5), 0.3)


def margin_logistic(w: Any) -> Any:
    return np.sum(np.log1p(np.exp(-SIGNS * (X @ w)))) + 0.5 * w @ w


def margin_logistic_gradient(w: Any) -> Any:
    m = SIGNS * (X @ w)
    s = -SIGNS / (1 + np.exp(m))
    return X.T @ s + w


MARGIN_LOGISTIC = (_normal(5),)
POINTS = _rng.normal(size=(9, 2))


def mixture(p: Any) -> Any:
    weights = np.exp(p["logits"]) / np.sum(np.exp(p["logits"]))
    difference = POINTS[:, None, :] - p["mu"]
    distance = np.sum(difference**2, axis=2)
    variance = np.exp(2 * p["log_sigma"])
    density = weights * np.exp(-distance / (2 * variance)) / (2 * np.pi * variance)
    return -np.sum(np.log(np.sum(density, axis=1)))


def mixture_gradient(p: Any) -> Any:
    weights = np.exp(p["logits"]) / np.sum(np.exp(p["logits"]))
    difference = POINTS[:, None, :] - p["mu"]
    distance = np.sum(difference**2, axis=2)
    variance = np.exp(2 * p["log_sigma"])
    density = weights * np.exp(-distance / (2 * variance)) / (2 * np.pi * variance)
    r = density / density.sum(axis=1, keepdims=True)
    d_logits = len(POINTS) * weights - r.sum(axis=0)
    d_mu = -np.sum(r[:, :, None] * difference, axis=0) / variance[:, None]
    d_log_sigma = -np.sum(r * (distance / variance - 2), axis=0)
    return {"logits": d_logits, "mu": d_mu, "log_sigma": d_log_sigma}


MIXTURE = {"logits": _normal(3), "mu": _normal(3, 2), "log_sigma": _normal(3, scale=0.3)}


def kalman(a: Any, log_q: Any, log_r: Any) -> Any:
    m, v, nll = 0.0, 1.0, 0.0
    for y in T:
        m, v = a * m, a**2 * v + np.exp(log_q)
        s = v + np.exp(log_r)
        e = y - m
        nll = nll + 0.5 * (np.log(2 * np.pi * s) + e**2 / s)
        gain = v / s
        m, v = m + gain * e, (1 - gain) * v
    return nll


def kalman_gradient(a: Any, log_q: Any, log_r: Any) -> Any:
    q, r = np.exp(log_q), np.exp(log_r)
    m, v = 0.0, 1.0
    dm, dv, total = np.zeros(3), np.zeros(3), np.zeros(3)
    by_a, by_q, by_r = np.eye(3)
    for y in T:
        dm = a * dm + by_a * m
        dv = a**2 * dv + by_a * 2 * a * v + by_q * q
        m, v = a * m, a**2 * v + q
        s = v + r
        ds = dv + by_r * r
        e, de = y - m, -dm
        total += 0.5 * (ds / s + 2 * e * de / s - e**2 * ds / s**2)
        gain = v / s
        dgain = dv / s - v * ds / s**2
        dm = dm + dgain * e + gain * de
        dv = (1 - gain) * dv - dgain * v
        m, v = m + gain * e, (1 - gain) * v
    return total[0], total[1], total[2]


KALMAN = (0.8, -0.5, -0.9)


def pca(W: Any) -> Any:
    r = X @ W @ W.T - X
    return np.sum(r**2) / 8


def pca_gradient(W: Any) -> Any:
    r = X @ W @ W.T - X
    return 2 * (X.T @ r @ W + r.T @ X @ W) / 8


PCA = (_normal(5, 2),)
RATINGS = _rng.normal(size=(6, 5))
SEEN = (_rng.uniform(size=(6, 5)) < 0.6).astype(float)


def factorisation(U: Any, V: Any) -> Any:
    e = SEEN * (U @ V.T - RATINGS)
    return 0.5 * np.sum(e**2) + 0.1 * (np.sum(U**2) + np.sum(V**2))


def factorisation_gradient(U: Any, V: Any) -> Any:
    e = SEEN * (U @ V.T - RATINGS)
    return e @ V + 0.2 * U, e.T @ U + 0.2 * V


FACTORISATION = (_normal(6, 3), _normal(5, 3))


def svm(W: Any) -> Any:
    scores = X @ W
    margins = np.maximum(0, scores - scores[np.arange(8), Y][:, None] + 1) * (1 - ONE_HOT)
    return np.sum(margins) / 8 + 0.1 * np.sum(W * W)


def svm_gradient(W: Any) -> Any:
    scores = X @ W
    margins = scores - scores[np.arange(8), Y][:, None] + 1
    mask = ((margins > 0) * (1 - ONE_HOT)).astype(float)
    mask[np.arange(8), Y] = -mask.sum(axis=1)
    return X.T @ mask / 8 + 0.2 * W


SVM = (_normal(5, 4),)


def huber(w: Any) -> Any:
    r = X @ w - 3 * T
    size = np.abs(r)
    return np.sum(np.where(size <= 1.5, 0.5 * r**2, 1.5 * (size - 0.75)))


def huber_gradient(w: Any) -> Any:
    r = X @ w - 3 * T
    d = np.where(np.abs(r) <= 1.5, r, 1.5 * np.sign(r))
    return X.T @ d


HUBER = (_normal(5),)


def poisson(w: Any, b: Any) -> Any:
    eta = X @ w + b
    return np.sum(np.exp(eta) - COUNTS * eta)


def poisson_gradient(w: Any, b: Any) -> Any:
    mu = np.exp(X @ w + b)
    return X.T @ (mu - COUNTS), np.sum(mu - COUNTS)


POISSON = (_normal(5), 0.4)
TIMES = np.linspace(0, 3, 7)
OBSERVED = np.sin(TIMES) + 0.1 * _rng.normal(size=7)


def gaussian_process(log_length: Any, log_scale: Any, log_noise: Any) -> Any:
    d2 = (TIMES[:, None] - TIMES) ** 2
    k = np.exp(2 * log_scale) * np.exp(-d2 / (2 * np.exp(2 * log_length))) + np.exp(2 * log_noise) * np.eye(7)
    return 0.5 * OBSERVED @ np.linalg.solve(k, OBSERVED) + 0.5 * np.linalg.slogdet(k)[1]


def gaussian_process_gradient(log_length: Any, log_scale: Any, log_noise: Any) -> Any:
    d2 = (TIMES[:, None] - TIMES) ** 2
    rbf = np.exp(2 * log_scale) * np.exp(-d2 / (2 * np.exp(2 * log_length)))
    k = rbf + np.exp(2 * log_noise) * np.eye(7)
    inverse = np.linalg.inv(k)
    alpha = inverse @ OBSERVED
    by_k = 0.5 * (inverse - np.outer(alpha, alpha))
    d_length = np.sum(by_k * rbf * d2 / np.exp(2 * log_length))
    d_scale = np.sum(by_k * 2 * rbf)
    d_noise = np.sum(by_k * 2 * np.exp(2 * log_noise) * np.eye(7))
    return d_length, d_scale, d_noise


GAUSSIAN_PROCESS = (0.1, -0.2, -1.0)
TARGETS = _rng.normal(size=(8, 5))


def batch_norm(x: Any, gamma: Any, beta: Any) -> Any:
    mu = np.mean(x, axis=0)
    centred = x - mu
    var = np.mean(centred**2, axis=0)
    std = np.sqrt(var + 1e-3)
    xhat = centred / std
    return np.sum((gamma * xhat + beta) * TARGETS)


def batch_norm_gradient(x: Any, gamma: Any, beta: Any) -> Any:
    n = len(x)
    mu = np.mean(x, axis=0)
    centred = x - mu
    var = np.mean(centred**2, axis=0)
    std = np.sqrt(var + 1e-3)
    xhat = centred / std
    dgamma = np.sum(TARGETS * xhat, axis=0)
    dbeta = np.sum(TARGETS, axis=0)
    dxhat = TARGETS * gamma
    dvar = np.sum(dxhat * centred, axis=0) * -0.5 * std**-3
    dcentred = dxhat / std + dvar * 2 * centred / n
    dmu = -np.sum(dcentred, axis=0)
    dx = dcentred + dmu / n
    return dx, dgamma, dbeta


BATCH_NORM = (_rng.normal(size=(8, 5)), _normal(5) + 1, _normal(5))


def layer_norm(x: Any, gamma: Any) -> Any:
    mu = np.mean(x, axis=1, keepdims=True)
    var = np.var(x, axis=1, keepdims=True)
    xhat = (x - mu) / np.sqrt(var + 1e-3)
    return np.sum(np.sin(gamma * xhat) * TARGETS)


def layer_norm_gradient(x: Any, gamma: Any) -> Any:
    mu = np.mean(x, axis=1, keepdims=True)
    std = np.sqrt(np.var(x, axis=1, keepdims=True) + 1e-3)
    xhat = (x - mu) / std
    dy = np.cos(gamma * xhat) * TARGETS
    dgamma = np.sum(dy * xhat, axis=0)
    dxhat = dy * gamma
    mean1 = np.mean(dxhat, axis=1, keepdims=True)
    mean2 = np.mean(dxhat * xhat, axis=1, keepdims=True)
    dx = (dxhat - mean1 - xhat * mean2) / std
    return dx, dgamma


LAYER_NORM = (_rng.normal(size=(8, 5)), _normal(5) + 1)
TAGS = np.array([0, 2, 1, 1])


def crf(emissions: Any, transitions: Any) -> Any:
    alpha = emissions[0]
    for t in range(1, 4):
        scores = alpha[:, None] + transitions + emissions[t]
        top = np.max(scores, axis=0)
        alpha = top + np.log(np.sum(np.exp(scores - top), axis=0))
    log_z = np.log(np.sum(np.exp(alpha)))
    score = np.sum(emissions[np.arange(4), TAGS]) + np.sum(transitions[TAGS[:-1], TAGS[1:]])
    return log_z - score


def crf_gradient(emissions: Any, transitions: Any) -> Any:
    def logsumexp(a: Any, axis: Any = None) -> Any:
        return np.log(np.sum(np.exp(a), axis=axis))

    alpha, beta = np.zeros((4, 3)), np.zeros((4, 3))
    alpha[0] = emissions[0]
    for t in range(1, 4):
        alpha[t] = logsumexp(alpha[t - 1][:, None] + transitions + emissions[t], axis=0)
    for t in range(2, -1, -1):
        beta[t] = logsumexp(transitions + emissions[t + 1] + beta[t + 1], axis=1)
    log_z = logsumexp(alpha[3])
    d_emissions = np.exp(alpha + beta - log_z)
    d_transitions = np.zeros((3, 3))
    for t in range(3):
        d_transitions += np.exp(alpha[t][:, None] + transitions + emissions[t + 1] + beta[t + 1] - log_z)
        d_transitions[TAGS[t], TAGS[t + 1]] -= 1
    d_emissions[np.arange(4), TAGS] -= 1
    return d_emissions, d_transitions


CRF = (_normal(4, 3), _normal(3, 3))
CENTRE, CONTEXT = np.array([0, 3, 0, 2]), np.array([1, 1, 4, 4])
NEGATIVE = np.array([[2, 5], [0, 2], [3, 3], [1, 5]])


def word2vec(V: Any, U: Any) -> Any:
    v = V[CENTRE]
    positive = np.sum(v * U[CONTEXT], axis=1)
    negative = np.sum(v[:, None, :] * U[NEGATIVE], axis=2)
    return np.sum(np.log1p(np.exp(-positive))) + np.sum(np.log1p(np.exp(negative)))


def word2vec_gradient(V: Any, U: Any) -> Any:
    v = V[CENTRE]
    dV, dU = np.zeros_like(V), np.zeros_like(U)
    pos = 1 / (1 + np.exp(-np.sum(v * U[CONTEXT], axis=1))) - 1
    neg = 1 / (1 + np.exp(-np.sum(v[:, None, :] * U[NEGATIVE], axis=2)))
    np.add.at(dU, CONTEXT, pos[:, None] * v)
    np.add.at(dU, NEGATIVE, neg[:, :, None] * v[:, None, :])
    np.add.at(dV, CENTRE, pos[:, None] * U[CONTEXT] + np.sum(neg[:, :, None] * U[NEGATIVE], axis=1))
    return dV, dU


WORD2VEC = (_normal(6, 3), _normal(6, 3))


def autoencoder(W: Any, b: Any, c: Any) -> Any:
    h = 1 / (1 + np.exp(-(X @ W + b)))
    out = h @ W.T + c
    return np.mean(np.sum((out - X) ** 2, axis=1))


def autoencoder_gradient(W: Any, b: Any, c: Any) -> Any:
    h = 1 / (1 + np.exp(-(X @ W + b)))
    out = h @ W.T + c
    dout = 2 * (out - X) / len(X)
    dh = dout @ W
    da = dh * h * (1 - h)
    return X.T @ da + dout.T @ h, da.sum(axis=0), dout.sum(axis=0)


AUTOENCODER = (_normal(5, 3), _normal(3), _normal(5))
SCATTER = X[:, :4].T @ X[:, :4] / 8


def gaussian(S: Any) -> Any:
    return 0.5 * np.linalg.slogdet(S)[1] + 0.5 * np.trace(np.linalg.solve(S, SCATTER))


def gaussian_gradient(S: Any) -> Any:
    inverse = np.linalg.inv(S)
    return 0.5 * (inverse - inverse @ SCATTER @ inverse)


_root = _normal(4, 4)
GAUSSIAN = (_root @ _root.T + np.eye(4),)


def formula(x: Any) -> Any:
    return np.sum(np.sin(x**2) * np.exp(x) + x / (1 + x**2))


def formula_gradient(x: Any) -> Any:
    wave = np.cos(x**2) * 2 * x * np.exp(x) + np.sin(x**2) * np.exp(x)
    quotient = ((1 + x**2) - x * 2 * x) / (1 + x**2) ** 2
    return wave + quotient


FORMULA = (np.array([0.4, -0.8, 1.3, 0.9]),)


def cosine(a: Any, b: Any) -> Any:
    return a @ b / (np.sqrt(np.sum(a**2)) * np.sqrt(np.sum(b**2)))


def cosine_gradient(a: Any, b: Any) -> Any:
    na, nb = np.sqrt(np.sum(a**2)), np.sqrt(np.sum(b**2))
    c = a @ b / (na * nb)
    return b / (na * nb) - c * a / na**2, a / (na * nb) - c * b / nb**2


COSINE = (_normal(4), _normal(4))


def rosenbrock(x: Any) -> Any:
    return np.sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def rosenbrock_gradient(x: Any) -> Any:
    g = np.zeros_like(x)
    u = x[1:] - x[:-1] ** 2
    g[:-1] += -400 * x[:-1] * u - 2 * (1 - x[:-1])
    g[1:] += 200 * u
    return g


ROSENBROCK = (np.array([-1.1, 0.7, 1.4, 0.3, -0.6]),)


def residual_net(W: Any, b: Any) -> Any:
    x = X
    for k in range(3):
        x = x + np.maximum(x @ W[k] + b[k], 0)
    return np.mean(x**2)


def residual_net_gradient(W: Any, b: Any) -> Any:
    xs = [X]
    for k in range(3):
        xs.append(xs[-1] + np.maximum(xs[-1] @ W[k] + b[k], 0))
    dx = 2 * xs[-1] / xs[-1].size
    dW, db = np.zeros_like(W), np.zeros_like(b)
    for k in reversed(range(3)):
        dz = dx * (xs[k] @ W[k] + b[k] > 0)
        dW[k] = xs[k].T @ dz
        db[k] = dz.sum(axis=0)
        dx = dx + dz @ W[k].T
    return dW, db


RESIDUAL_NET = (_normal(3, 5, 5, scale=0.4), _normal(3, 5))


def elastic_net(w: Any) -> Any:
    return np.sum((X @ w - T) ** 2) / 16 + 0.3 * np.sum(np.abs(w)) + 0.2 * np.sum(w**2)


def elastic_net_gradient(w: Any) -> Any:
    return X.T @ (X @ w - T) / 8 + 0.3 * np.sign(w) + 0.4 * w


ELASTIC_NET = (_normal(5),)


def euler(theta: Any, y0: Any) -> Any:
    y = y0
    for _ in range(6):
        y = y + 0.1 * np.sin(y * theta)
    return np.sum(y**2)


def euler_gradient(theta: Any, y0: Any) -> Any:
    ys = [y0]
    for _ in range(6):
        ys.append(ys[-1] + 0.1 * np.sin(ys[-1] * theta))
    g = 2 * ys[6]
    d_theta = np.zeros_like(theta)
    for k in range(5, -1, -1):
        c = 0.1 * np.cos(ys[k] * theta)
        d_theta += g * c * ys[k]
        g = g + g * c * theta
    return d_theta, g


EULER = (_normal(4) + 1, _normal(4) + 1)
