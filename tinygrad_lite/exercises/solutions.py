"""Solutions of the course's exercises, for teachers: `python -m tinygrad_lite class --solution NAME` prints them.

Nothing else reads this file, and a submission that is marked as a file may not.
"""

from tinygrad_lite.errors import InputError
from tinygrad_lite.exercises.declaration import Declaration

SOLUTIONS = {
    "square": """\
def derivative(y, x):
    return 2 * x
""",
    "exp": """\
def derivative(y, x):
    return y
""",
    "chain_rule": """\
def derivative(y, x):
    return 6 * (3 * x + 1)
""",
    "softplus": """\
def derivative(y, x):
    return 1 / (1 + np.exp(-x))
""",
    "numerator": """\
def derivative(y, a, b):
    return 1 / b
""",
    "denominator": """\
def derivative(y, a, b):
    return -a / b**2
""",
    "reciprocal": """\
numbers = -0.5
""",
    "used_twice": """\
def derivative(y, x):
    return np.sin(x) + x * np.cos(x)
""",
    "square_plus": """\
numbers = 7
""",
    "three_uses": """\
numbers = 3
""",
    "two_losses": """\
def derivative(y, w):
    return 2 * (w - 3) + 8 * w
""",
    "bias": """\
def vjp(g, y, x, b):
    return g.sum(axis=0)
""",
    "scale": """\
numbers = 3.25
""",
    "sum": """\
def vjp(g, y, x):
    return g * np.ones_like(x)
""",
    "mean": """\
def vjp(g, y, x):
    return np.full(x.shape, g / x.size)
""",
    "centred": """\
numbers = [-4, -2, 6]
""",
    "matmul_left": """\
def vjp(g, y, a, b):
    return g @ b.T
""",
    "matmul_right": """\
def vjp(g, y, a, b):
    return a.T @ g
""",
    "dot": """\
numbers = [3, 4]
""",
    "sigmoid": """\
def derivative(y, x):
    return y * (1 - y)
""",
    "cross_entropy": """\
def vjp(g, y, z, t):
    return g * (1 / (1 + np.exp(-z)) - t) / z.size
""",
    "softmax": """\
def vjp(g, y, x):
    return y * (g - np.sum(g * y, axis=1, keepdims=True))
""",
    "logsumexp": """\
def vjp(g, y, x):
    return g[:, None] * np.exp(x - y[:, None])
""",
    "mean_squared_error": """\
def vjp(g, y, p, t):
    return g * 2 * (p - t) / p.size
""",
    "class_loss": """\
numbers = [-0.156, 0.114, 0.042]
""",
    "tanh": """\
def derivative(y, x):
    return 1 - y**2
""",
    "hidden_weight": """\
def vjp(g, y, w1, b1, w2, b2, x, t):
    a = np.tanh(x @ w1 + b1)
    z = a @ w2 + b2
    dz = g * (1 / (1 + np.exp(-z)) - t) / t.size
    return x.T @ (dz @ w2.T * (1 - a**2))
""",
    "relu": """\
def derivative(y, x):
    return x > 0
""",
    "standardise": """\
def vjp(g, y, x):
    centred = g - np.mean(g, axis=1, keepdims=True) - y * np.mean(g * y, axis=1, keepdims=True)
    return centred / np.std(x, axis=1, keepdims=True)
""",
    "second_derivative": """\
def derivative(y, x):
    return -2 * np.tanh(x) * y
""",
    "initialisation": """\
def derivative(y, s, x, w):
    return 6 * y / s
""",
    "convolution": """\
def vjp(g, y, x, w):
    return np.array([np.sum(g * x[k : k + g.size]) for k in range(w.size)])
""",
    "attention": """\
def vjp(g, y, q, k, v):
    scores = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    dp = g @ v.T
    return p * (dp - np.sum(dp * p, axis=1, keepdims=True)) @ k / np.sqrt(q.shape[1])
""",
    "momentum": """\
def vjp(g, y, gradients, m):
    return g * m ** np.arange(gradients.size)[::-1]
""",
    "adam": """\
def derivative(y, x, e):
    return e / (np.abs(x) + e) ** 2
""",
    "forward_mode": """\
def derivative(y, s, x, v):
    return np.sum((1 - np.tanh(x + s * v) ** 2) * v)
""",
    "mystery": """\
def vjp(g, y, w, x, t):
    a = np.tanh(x @ w)
    d = g * 2 * (a @ w.T - t) / t.size
    return x.T @ ((d @ w) * (1 - a**2)) + d.T @ a
""",
}


def solution_of(declaration: Declaration) -> str:
    """A solution, with the question; raises `InputError` if it is not in the course."""
    if declaration.name not in SOLUTIONS:
        raise InputError(f"{declaration.name} is not an exercise of the course: whoever declared it has the solution")
    return f"{declaration.name}: {declaration.question}\n\n{SOLUTIONS[declaration.name]}".rstrip()
