"""Mistakes planted in the gradients of `handwritten`, each a change of their text, with what may be said of it.

The text of a gradient is changed, not its result, so that a mistake spreads as it does in anybody's code.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import tinygrad_lite as tg
from tests.checking import handwritten
from tinygrad_lite.checking import Report


@dataclass(frozen=True)
class Planted:
    """A mistake in the gradient of a model: the text that stands in place of another, and what explains it.

    Attributes:
        words: of which an explanation has at least one, with | between them.
    """

    model: str
    old: str
    new: str
    words: str

    @property
    def gradient(self) -> Callable[..., Any]:
        """The gradient with the mistake."""
        text = inspect.getsource(getattr(handwritten, f"{self.model}_gradient"))
        assert self.old in text, f"{self.model} has no {self.old}"
        names = dict(vars(handwritten))
        exec(text.replace(self.old, self.new), names)  # our own text
        gradient: Callable[..., Any] = names[f"{self.model}_gradient"]
        return gradient

    def report(self) -> Report:
        point = getattr(handwritten, self.model.upper())
        inputs = point if isinstance(point, tuple) else (point,)
        f = getattr(handwritten, self.model)
        return tg.gradcheck(f, *inputs, gradient=self.gradient, raise_exception=False)


PLANTED = [
    Planted("mlp", "(1 - h**2)", "(1 - h)", "the square is missing in 1 - y², the derivative of tanh"),
    Planted("mlp", "(1 - h**2)", "h * (1 - h)", "y (1 - y), the derivative of sigmoid, is taken for that of tanh"),
    Planted("mlp", "(1 - h**2)", "(1 - (X @ p['W1'] + p['b1'])**2)", "input is used"),
    Planted("mlp", "da = dh * (1 - h**2)", "da = dh", "local derivative is left out"),
    Planted("mlp", 'z = h @ p["W2"] + p["b2"]', 'z = h @ p["W2"]', "p.b2 is left out of the values"),
    Planted("softmax_regression", "z = X @ W + b", "z = X @ W - b", "the sign of b is wrong in the values"),
    Planted("rnn", 'hs[-1] @ p["Wh"] + p["b"]', 'hs[-1] @ p["Wh"]', "p.b is left out of the values"),
    Planted("mlp", "dz /= 8", "dz /= 1", "its factor 0.125 is left out"),
    Planted("mlp", "dz /= 8", "dz /= 32", "too small"),
    Planted("mlp", "dz[np.arange(8), Y] -= 1", "dz[np.arange(8), Y] += 1", "sign"),
    Planted("mlp", "dz[np.arange(8), Y] -= 1", "pass", "nothing arrives|left out"),
    Planted(
        "mlp",
        "probs.copy()",
        "z.copy()",
        "in the gradient of z, z is used in place of the softmax of z along axis 1, 0.125 times",
    ),
    Planted("mlp", "db1 = da.sum(axis=0)", "db1 = da.mean(axis=0)", "8 times too small"),
    Planted(
        "mlp",
        "db1 = da.sum(axis=0)",
        "db1 = dh.sum(axis=0)",
        "the gradient of h is handed on in place of that of the result of add",
    ),
    Planted("mlp", ' + 0.1 * p["W1"]', "", "nothing arrives|left out"),
    Planted("mlp", '0.1 * p["W2"]', '0.05 * p["W2"]', "factor of 2 is missing"),
    Planted(
        "mlp",
        '0.1 * p["W2"]',
        '0.1 * p["W2"]**2',
        "the output is used where the input should be|the exponent is not lowered by 1",
    ),
    Planted("mlp", "db1 = da.sum(axis=0)", "db1 = da.sum(axis=0) + 0.1 * p['b1']", "penalty"),
    Planted("softmax_regression", "(p - ONE_HOT) / len(X)", "(ONE_HOT - p) / len(X)", "sign"),
    Planted("softmax_regression", "(p - ONE_HOT) / len(X)", "(z - ONE_HOT) / len(X)", "in place of"),
    Planted("softmax_regression", "(p - ONE_HOT) / len(X)", "p / len(X)", "nothing arrives|left out"),
    Planted("softmax_regression", "e.sum(axis=1, keepdims=True)", "e.sum(axis=0, keepdims=True)", "axis"),
    Planted("rnn", "(1 - hs[t + 1] ** 2) * dh", "(1 - hs[t] ** 2) * dh", "step"),
    Planted("rnn", "(1 - hs[t + 1] ** 2) * dh", "dh", "local derivative is left out"),
    Planted(
        "rnn",
        "(1 - hs[t + 1] ** 2) * dh",
        "hs[t + 1] * (1 - hs[t + 1]) * dh",
        "y (1 - y), the derivative of sigmoid, is taken for that of tanh",
    ),
    Planted("rnn", "np.outer(hs[t], da)", "np.outer(hs[t + 1], da)", "step"),
    Planted("rnn", "np.outer(hs[t], da)", "np.outer(da, hs[t])", "transposed"),
    Planted("rnn", 'dh_next = p["Wh"] @ da', "pass", "nothing arrives"),
    Planted("rnn", 'dh_next = p["Wh"] @ da', 'dh_next = p["Wh"].T @ da', "transposed"),
    Planted(
        "rnn",
        'dh_next = p["Wh"] @ da',
        'dh_next += p["Wh"] @ da',
        "it is added up from one run to the next, and not set to 0 in between",
    ),
    Planted(
        "rnn",
        'dh_next = p["Wh"] @ da',
        "dh_next = da",
        "the upstream gradient is handed on as it is: the local derivative is left out",
    ),
    Planted(
        "rnn",
        'dh_next = p["Wh"] @ da',
        'dh_next = p["Wh"] @ dh',
        "the gradient of h is handed on in place of that of the result of matmul",
    ),
    Planted("rnn", 'd["Wx"] +=', 'd["Wx"] =', "overwritten|first|only"),
    Planted("rnn", 'd["b"] += da', 'd["b"] = da', "overwritten|first|only"),
    Planted("rnn", "np.outer(hs[t + 1], dys[t])", "np.outer(hs[t], dys[t])", "step"),
    Planted(
        "rnn",
        "reversed(range(len(SEQUENCE)))",
        "reversed(range(1, len(SEQUENCE)))",
        "range(0, 5) in place of range(1, 5)",
    ),
    Planted("lstm", "o * (1 - np.tanh(c) ** 2)", "o * (1 - c ** 2)", "input is used"),
    Planted("lstm", "dc = dc + dh", "dc = dh", "nothing arrives|overwritten"),
    Planted("lstm", "dc * c_prev", "dc * c", "step|in place of"),
    Planted("lstm", "dc = dc * f", "dc = dc", "left out"),
    Planted("lstm", "di * i * (1 - i)", "di * i", "of y (1 - y), the derivative of sigmoid, only y is there"),
    Planted(
        "lstm", "di * i * (1 - i)", "di * (1 - i**2)", "1 - y², the derivative of tanh, is taken for that of sigmoid"
    ),
    Planted(
        "lstm", "df * f * (1 - f)", "df * f * (1 + f)", "the sign is wrong in y (1 - y), the derivative of sigmoid"
    ),
    Planted(
        "lstm", "dg * (1 - g**2)", "dg * g * (1 - g)", "y (1 - y), the derivative of sigmoid, is taken for that of tanh"
    ),
    Planted("lstm", "dh * np.tanh(c)", "dh * c", "c is used where the result of tanh should be"),
    Planted("attention", "ds = ds / np.sqrt(4)", "pass", "too large|factor of 2|left out"),
    Planted("attention", "a * (da - np.sum(da * a, axis=1, keepdims=True))", "a * da", "nothing arrives"),
    Planted("attention", "a * (da - np.sum(da * a, axis=1, keepdims=True))", "da * a * (1 - a)", "diagonal"),
    Planted("attention", "np.sum(da * a, axis=1, keepdims=True)", "np.sum(da * a, axis=0, keepdims=True)", "axis"),
    Planted("attention", "ds.T @ q", "ds @ q", "the gradient is handed out along the wrong axis"),
    Planted("attention", "dv = a.T @ WEIGHT", "dv = a @ WEIGHT", "transposed"),
    Planted(
        "attention",
        "dq = ds @ k",
        "dq = ds @ q",
        "the result of matmul is used where the result of transpose should be",
    ),
    Planted("conv", "PROJECTION[i, j] * (z > 0)", "PROJECTION[i, j]", "local derivative is left out"),
    Planted(
        "conv",
        "* IMAGE[i : i + 3, j : j + 3]\n        ",
        "* IMAGE[i : i + 3, j : j + 3][::-1, ::-1]\n        ",
        "flipped",
    ),
    Planted("conv", "dk += d", "dk += PROJECTION[j, i] * (z > 0)", "it is transposed"),
    Planted(
        "conv",
        "        for j in range(4):",
        "        for j in range(3):",
        "range(0, 4) in place of range(0, 3)",
    ),
    Planted("conv_input", "d * IMAGE[:3, :3]", "d * IMAGE[:3, :3][::-1, ::-1]", "flipped"),
    Planted("conv_input", "+= d *", "= d *", "parts that overlap overwrite each other where they should be added up"),
    Planted("conv_input", "d * IMAGE[:3, :3]", "d * IMAGE[:3, :3].T", "transposed"),
    Planted("logistic", "r = p - BINARY", "r = z - BINARY", "in place of"),
    Planted(
        "logistic",
        "r = p - BINARY",
        "r = (p - BINARY) * p * (1 - p)",
        "the derivative of sigmoid is multiplied in twice",
    ),
    Planted("logistic", "r = p - BINARY", "r = BINARY - p", "sign"),
    Planted("logistic", "0.02 * w", "0.01 * w", "factor of 2 is missing"),
    Planted("logistic", "np.mean(r)", "np.sum(r)", "8 times too large"),
    Planted("logistic", "X.T @ r / len(X)", "X.T @ r / len(w)", "8/5|1.6"),
    Planted(
        "margin_logistic",
        "-SIGNS / (1 + np.exp(m))",
        "-SIGNS / (1 + np.exp(-m))",
        "the upstream gradient is handed on as it is: the local derivative is left out",
    ),
    Planted("margin_logistic", "-SIGNS / (1 + np.exp(m))", "-1 / (1 + np.exp(m))", "left out|sign"),
    Planted("margin_logistic", "X.T @ s + w", "X.T @ s + 0.5 * w", "nothing arrives from here"),
    Planted(
        "mixture", "/ variance[:, None]", "/ np.sqrt(variance)[:, None]", "a factor of variance^½ should not be there"
    ),
    Planted("mixture", "(distance / variance - 2)", "(distance / variance)", "nothing arrives"),
    Planted("mixture", "(distance / variance - 2)", "(distance / variance - 1)", "factor of 2 is missing"),
    Planted("mixture", "-np.sum(r[:, :, None]", "np.sum(r[:, :, None]", "sign"),
    Planted("mixture", "len(POINTS) * weights - r.sum(axis=0)", "-r.sum(axis=0)", "nothing arrives"),
    Planted("mixture", "density.sum(axis=1, keepdims=True)", "density.sum(axis=0, keepdims=True)", "axis"),
    Planted("kalman", "by_a * 2 * a * v", "by_a * a * v", "factor of 2 is missing"),
    Planted("kalman", "by_q * q", "by_q", "a factor of the result of exp is missing"),
    Planted("kalman", "e, de = y - m, -dm", "e, de = y - m, dm", "sign"),
    Planted("kalman", " - dgain * v\n", "\n", "nothing arrives"),
    Planted("pca", "2 * (X.T @ r @ W + r.T @ X @ W)", "2 * (X.T @ r @ W)", "nothing arrives|only one"),
    Planted("pca", "2 * (X.T @ r @ W + r.T @ X @ W)", "4 * (X.T @ r @ W)", "axis|earlier|missing"),
    Planted(
        "factorisation",
        "e @ V",
        "(U @ V.T - RATINGS) @ V",
        "the constant in multiply is left out of the values and of the gradient",
    ),
    Planted("factorisation", "0.2 * U", "0.1 * U", "factor of 2 is missing"),
    Planted("factorisation", "e.T @ U", "e.T @ U * 2", "factor of 2 should not be there"),
    Planted("svm", "-mask.sum(axis=1)", "-1", "axis|earlier|missing"),
    Planted("svm", "-mask.sum(axis=1)", "0", "nothing arrives"),
    Planted("svm", "(margins > 0) * ", "", "left out"),
    Planted("svm", "X.T @ mask / 8", "X.T @ mask", "its factor 0.125 is left out"),
    Planted("huber", "1.5 * np.sign(r)", "np.sign(r)", "2/3|1.5"),
    Planted(
        "huber",
        "np.where(np.abs(r) <= 1.5, r, 1.5 * np.sign(r))",
        "r",
        "the derivative of one branch is taken everywhere, not only where it is chosen",
    ),
    Planted("huber", "1.5 * np.sign(r)", "1.5", "sign|left out"),
    Planted("poisson", "X.T @ (mu - COUNTS)", "X.T @ (np.log(mu) - COUNTS)", "in place of"),
    Planted("poisson", "np.sum(mu - COUNTS)", "np.mean(mu - COUNTS)", "8 times too small"),
    Planted(
        "poisson",
        "X.T @ (mu - COUNTS)",
        "X.T @ (mu - COUNTS * mu)",
        "a factor of the result of exp should not be there",
    ),
    Planted("gaussian_process", "np.sum(by_k * 2 * rbf)", "np.sum(by_k * rbf)", "its factor 2 is left out"),
    Planted("gaussian_process", "inverse - np.outer", "inverse + np.outer", "sign"),
    Planted("gaussian_process", "inverse - np.outer(alpha, alpha)", "inverse", "nothing arrives"),
    Planted(
        "gaussian_process",
        "d2 / np.exp(2 * log_length)",
        "d2 / np.exp(3 * log_length)",
        "log_length is used where the result of multiply should be",
    ),
    Planted("batch_norm", "dx = dcentred + dmu / n", "dx = dcentred", "nothing arrives"),
    Planted("batch_norm", " + dvar * 2 * centred / n", "", "nothing arrives"),
    Planted("batch_norm", "+ dvar * 2 * centred / n", "+ dvar * 2 * centred", "8 times too large"),
    Planted("batch_norm", "std**-3", "std**-2", "the divisor is not squared"),
    Planted("batch_norm", "dxhat = TARGETS * gamma", "dxhat = TARGETS", "left out"),
    Planted("layer_norm", " - xhat * mean2", "", "nothing arrives"),
    Planted(
        "layer_norm",
        "(dxhat - mean1 - xhat * mean2) / std",
        "dxhat / std",
        "only one of several uses counts: gradients are overwritten where they should be added up",
    ),
    Planted(
        "layer_norm",
        "np.mean(dxhat, axis=1, keepdims=True)",
        "np.mean(dxhat, axis=0, keepdims=True)",
        "axis|earlier|missing",
    ),
    Planted(
        "layer_norm", "np.cos(gamma * xhat)", "np.cos(xhat)", "xhat is used where the result of multiply should be"
    ),
    Planted("crf", "d_emissions[np.arange(4), TAGS] -= 1", "pass", "nothing arrives"),
    Planted(
        "crf",
        "d_transitions[TAGS[t], TAGS[t + 1]] -= 1",
        "d_transitions[TAGS[t + 1], TAGS[t]] -= 1",
        "it is transposed",
    ),
    Planted("crf", "for t in range(3):", "for t in range(2):", "range(0, 3) in place of range(0, 2)"),
    Planted(
        "crf",
        "transitions + emissions[t + 1] + beta[t + 1] - log_z",
        "transitions + emissions[t] + beta[t + 1] - log_z",
        "an index that is 1 larger",
    ),
    Planted("word2vec", "np.add.at(dV, CENTRE, pos", "dV[CENTRE] += (pos", "several equal indices"),
    Planted(
        "word2vec",
        "* U[CONTEXT], axis=1))) - 1",
        "* U[CONTEXT], axis=1)))",
        "the gradient of the result of exp is handed on in place of that of positive",
    ),
    Planted("word2vec", " + np.sum(neg[:, :, None] * U[NEGATIVE], axis=1)", "", "nothing arrives"),
    Planted("autoencoder", "X.T @ da + dout.T @ h", "X.T @ da", "nothing arrives|only one"),
    Planted("autoencoder", "dh * h * (1 - h)", "dh * (X @ W + b) * (1 - (X @ W + b))", "input"),
    Planted("autoencoder", "/ len(X)", "/ X.size", "5 times too small"),
    Planted(
        "gaussian",
        "0.5 * (inverse - inverse @ SCATTER @ inverse)",
        "0.5 * np.tril(inverse - inverse @ SCATTER @ inverse)",
        "triangle",
    ),
    Planted(
        "gaussian",
        "    return 0.5 * (inverse - inverse @ SCATTER @ inverse)",
        "    g = inverse - inverse @ SCATTER @ inverse\n    return g - 0.5 * np.diag(np.diag(g))",
        "symmetric",
    ),
    Planted("gaussian", "inverse @ SCATTER @ inverse", "inverse @ SCATTER", "axis|earlier|missing"),
    Planted(
        "formula",
        "np.cos(x**2) * 2 * x * np.exp(x) + np.sin(x**2) * np.exp(x)",
        "np.cos(x**2) * 2 * x * np.exp(x)",
        "nothing arrives",
    ),
    Planted("formula", " + np.sin(x**2) * np.exp(x)", "", "nothing arrives"),
    Planted("formula", "np.cos(x**2) * 2 * x", "np.cos(x) * 2 * x", "x is used where the result of square should be"),
    Planted("formula", "np.cos(x**2) * 2 * x", "np.cos(x**2)", "left out"),
    Planted("formula", "(1 + x**2) ** 2", "(1 + x**2)", "a factor of the result of add should not be there"),
    Planted("formula", "- x * 2 * x)", "+ x * 2 * x)", "sign"),
    Planted("cosine", "c * a / na**2", "c * a / na", "the value of the function is used in place of its derivative"),
    Planted("cosine", " - c * a / na**2", "", "nothing arrives"),
    Planted("rosenbrock", "-400 * x[:-1] * u", "-200 * x[:-1] * u", "factor of 2 is missing"),
    Planted("rosenbrock", "g[1:] += 200 * u", "g[:-1] += 200 * u", "off by one"),
    Planted("rosenbrock", "- 2 * (1 - x[:-1])", "+ 2 * (1 - x[:-1])", "sign"),
    Planted("residual_net", "dx = dx + dz @ W[k].T", "dx = dz @ W[k].T", "nothing arrives"),
    Planted("residual_net", "dx = dx + dz @ W[k].T", "dx = dx + dz @ W[k]", "transposed"),
    Planted(
        "residual_net", "(xs[k] @ W[k] + b[k] > 0)", "(xs[k + 1] > 0)", "x is used where the result of add should be"
    ),
    Planted("residual_net", "xs[k].T @ dz", "xs[k + 1].T @ dz", "step"),
    Planted("residual_net", "2 * xs[-1] / xs[-1].size", "2 * xs[-1] / len(X)", "5 times too large"),
    Planted(
        "elastic_net",
        "0.3 * np.sign(w)",
        "0.3",
        "the upstream gradient is handed on as it is: the local derivative is left out",
    ),
    Planted("elastic_net", "(X @ w - T) / 8", "(X @ w - T) / 16", "factor of 2 is missing"),
    Planted("elastic_net", "0.3 * np.sign(w) + ", "", "nothing arrives"),
    Planted("euler", "np.cos(ys[k] * theta)", "np.cos(ys[k + 1] * theta)", "of the turn before in place of"),
    Planted(
        "euler",
        "range(5, -1, -1)",
        "range(5, 0, -1)",
        "range(5, -1, -1) in place of range(5, 0, -1)",
    ),
    Planted("euler", "g * c * ys[k]", "g * c * ys[k + 1]", "step"),
    Planted("euler", "g = g + g * c * theta", "g = g * c * theta", "nothing arrives"),
    Planted("margin_logistic", "-SIGNS / (1 + np.exp(m))", "-SIGNS", "the derivative of softplus is left out"),
]
