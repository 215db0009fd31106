"""The exercises of the course, in its order; each is a declaration, and none has an answer."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.ops.networks.activations import relu

_NUMBERS = np.array([-2.0, 0.5, 1.5])
_OTHERS = np.array([0.75, -1.25])
_MATRIX = np.array([[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]])
_ROWS = np.array([[0.5, -1.0, 2.0, 0.0], [1.5, 0.25, -0.75, 1.0], [-0.5, 2.5, 1.25, 0.75]])


def network(w1: Array, b1: Array, w2: Array, b2: Array, x: Array, t: Array) -> Array:
    a = np.tanh(x @ w1 + b1)
    z = a @ w2 + b2
    return np.mean(np.log(1 + np.exp(z)) - t * z)


def _patients(count: int) -> dict[str, Array]:
    """Some patients with 13 measurements each, and a network that has not learnt anything yet."""
    draw = np.random.default_rng(count).normal
    return {
        "w1": draw(size=(13, 8)) / 4,
        "b1": draw(size=8) / 4,
        "w2": draw(size=(8, 1)) / 3,
        "b2": np.array([0.1]),
        "x": draw(size=(count, 13)),
        "t": np.arange(count)[:, None] % 2,
    }


COURSE = [
    Declaration(
        "square",
        "The square of each entry.",
        lambda x: x**2,
        "derivative",
        ({"x": np.array([1.0, -0.5, 3.0])}, {"x": _OTHERS}),
        hints=(
            "Write (x + h)² out. Which term has one h?",
            "x occurs twice in x · x; each occurrence contributes the other one.",
        ),
    ),
    Declaration(
        "exp",
        "The exponential function.",
        lambda x: np.exp(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=("Which function is its own derivative?",),
    ),
    Declaration(
        "chain_rule",
        "One number goes through two steps, u = 3x + 1 and y = u². How fast does y change with x?",
        lambda x: (3 * x + 1) ** 2,
        "derivative",
        ({"x": 2.0}, {"x": -1.5}),
        hints=(
            "Nudge u alone first: how fast does u² change? Then ask how fast u changes with x.",
            "The two rates are multiplied, and the first is taken at u, not at x.",
        ),
    ),
    Declaration(
        "softplus",
        "The softplus, a rectifier without a corner.",
        lambda x: np.log(1 + np.exp(x)),
        "derivative",
        ({"x": np.array([-2.0, 0.25, 3.0])}, {"x": _OTHERS}),
        hints=(
            "Two steps: a logarithm, and what is inside it. Multiply the two rates.",
            "Inside, 1 stands still. What is the rate of a logarithm, taken at what is inside?",
        ),
    ),
    Declaration(
        "numerator",
        "A quotient, by its numerator.",
        lambda a, b: a / b,
        "derivative",
        (
            {"a": np.array([1.0, -2.0, 3.0]), "b": np.array([4.0, 0.5, -1.5])},
            {"a": _OTHERS, "b": np.array([-3.0, 1.25])},
        ),
        by="a",
        hints=("While b stands still, the function multiplies a by a fixed number.",),
    ),
    Declaration(
        "denominator",
        "A quotient, by its denominator.",
        lambda a, b: a / b,
        "derivative",
        (
            {"a": np.array([1.0, -2.0, 3.0]), "b": np.array([4.0, 0.5, -1.5])},
            {"a": _OTHERS, "b": np.array([-3.0, 1.25])},
        ),
        by="b",
        hints=(
            "With a positive quotient and a growing denominator, does the result grow?",
            "The rule for powers, with the exponent -1; y may help to write it shortly.",
        ),
    ),
    Declaration(
        "used_twice",
        "The same x goes into both factors. What comes back through each, and what is the whole?",
        lambda x: x * np.sin(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "Call the two uses u and v, derive by each while the other stands still; then both are x again.",
            "One use contributes the other factor; the other one goes through the sine. They add up.",
        ),
    ),
    Declaration(
        "two_losses",
        "Two losses pull at the same w, (w - 3)² and (2w)². What does .grad show after backward() of both?",
        lambda w: (w - 3) ** 2 + (2 * w) ** 2,
        "derivative",
        ({"w": 2.0}, {"w": -1.0}),
        hints=(
            "Take each loss on its own first: it has two steps, and the outer step is a square.",
            "Nothing was set to zero between the two passes.",
        ),
    ),
    Declaration(
        "bias",
        "The bias of a layer: one b for each column, added to every row of x. What goes on to b?",
        lambda x, b: x + b,
        "vjp",
        ({"x": _ROWS, "b": np.array([0.1, -0.2, 0.3, 0.4])}, {"x": _MATRIX, "b": np.array([1.0, 2.0, 3.0])}),
        by="b",
        hints=(
            "Nudge one entry of b. Which entries of y move, and how far?",
            "What is spread on the way forward is gathered on the way back.",
        ),
    ),
    Declaration(
        "sum",
        "The sum of all entries, which is one number; so g is one number, too.",
        lambda x: np.sum(x),
        "vjp",
        ({"x": _NUMBERS}, {"x": _MATRIX}),
        hints=("Each entry moves the sum by as much as it moves itself. The result has the shape of x.",),
    ),
    Declaration(
        "mean",
        "The mean of all entries.",
        lambda x: np.mean(x),
        "vjp",
        ({"x": _NUMBERS}, {"x": _MATRIX}),
        hints=("It is the same as for the sum, up to one factor, which depends on x.size.",),
    ),
    Declaration(
        "matmul_left",
        "A matrix product, by its first factor.",
        lambda a, b: a @ b,
        "vjp",
        ({"a": _MATRIX, "b": _ROWS}, {"a": _ROWS, "b": np.array([[1.0], [0.5], [-2.0], [0.25]])}),
        by="a",
        hints=(
            "y[i, j] is the sum of a[i, k] b[k, j] over k. Which entries of y does a[i, k] reach, with which factor?",
            "Look at the shapes: a product of g and b, one of them transposed, must have the shape of a.",
        ),
    ),
    Declaration(
        "matmul_right",
        "A matrix product, by its second factor.",
        lambda a, b: a @ b,
        "vjp",
        ({"a": _MATRIX, "b": _ROWS}, {"a": _ROWS, "b": np.array([[1.0], [0.5], [-2.0], [0.25]])}),
        by="b",
        hints=(
            "b[k, j] reaches column j of y, with the factors in column k of a.",
            "Look at the shapes: a product of a and g, one of them transposed, must have the shape of b.",
        ),
    ),
    Declaration(
        "sigmoid",
        "The logistic function, which makes a probability of any number.",
        lambda x: 1 / (1 + np.exp(-x)),
        "derivative",
        ({"x": np.array([-3.0, 0.0, 2.0])}, {"x": _OTHERS}),
        hints=(
            "It can be written with y alone.",
            "Where y is nearly 0 or nearly 1, the curve is flat: which product of two factors vanishes at both ends?",
        ),
    ),
    Declaration(
        "cross_entropy",
        "The mean cross-entropy of the probability sigmoid(z) of a label t, which is 0 or 1; by z.",
        lambda z, t: np.mean(np.log(1 + np.exp(z)) - t * z),
        "vjp",
        ({"z": _NUMBERS, "t": np.array([0, 1, 1])}, {"z": _OTHERS, "t": np.array([1, 0])}),
        by="z",
        hints=(
            "Each of the two terms by itself; you know the first from `softplus`.",
            "What is left is the distance of the probability from the label, shared among the entries by the mean.",
        ),
    ),
    Declaration(
        "softmax",
        "Each row becomes probabilities. Every entry of a row moves all of it.",
        lambda x: np.exp(x) / np.sum(np.exp(x), axis=1, keepdims=True),
        "vjp",
        ({"x": _MATRIX}, {"x": _ROWS}),
        hints=(
            "∂yᵢ/∂xⱼ is yᵢ (δᵢⱼ - yⱼ), with δᵢⱼ = 1 where i = j and 0 elsewhere. Multiply by gᵢ and sum over i.",
            "It needs one sum along each row, of g · y; keepdims=True keeps it a column.",
        ),
    ),
    Declaration(
        "logsumexp",
        "The logarithm of the sum of exponentials, one number for each row.",
        lambda x: np.log(np.sum(np.exp(x), axis=1)),
        "vjp",
        ({"x": _MATRIX}, {"x": _ROWS}),
        hints=(
            "1 over the sum, times the exponential of the entry: which function of the row is that?",
            "g has one number for each row: np.expand_dims(g, 1), or g[:, None], makes a column of it.",
        ),
    ),
    Declaration(
        "mean_squared_error",
        "The mean squared error of a prediction p, by the prediction.",
        lambda p, t: np.mean((p - t) ** 2),
        "vjp",
        ({"p": _NUMBERS, "t": np.array([-1.0, 1.0, 1.0])}, {"p": _MATRIX, "t": np.zeros((2, 3))}),
        by="p",
        hints=("Three steps: a difference, a square, a mean. Each has its own factor.",),
    ),
    Declaration(
        "tanh",
        "The hyperbolic tangent, which goes from -1 to 1.",
        lambda x: np.tanh(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "It can be written with y alone.",
            "With p for sigmoid(2x), y is 2p - 1: multiply three rates, and write p with y again.",
        ),
    ),
    Declaration(
        "hidden_weight",
        "A 13-8-1 network on the mean cross-entropy, as in the heart example: the gradient of its first weights.",
        network,
        "vjp",
        (_patients(5), _patients(3)),
        by="w1",
        hints=(
            "Compute a and z again, then go back step by step, and write down the shape of each step.",
            "The order: z (as in `cross_entropy`), a (`matmul_left`), before the tanh (`tanh`), w1 (`matmul_right`).",
        ),
    ),
    Declaration(
        "relu",
        "The rectifier, max(x, 0). At its corner take the slope from the left, as docs/conventions.md has it.",
        relu,
        "derivative",
        ({"x": np.array([-1.5, 0.0, 2.0, 0.5])}, {"x": np.array([0.0, 3.0, -4.0])}),
        hints=("To either side the curve is a straight line: what are the two slopes?",),
    ),
    Declaration(
        "standardise",
        "Each row is moved to mean 0 and scaled to standard deviation 1, as layer normalisation does.",
        lambda x: (x - np.mean(x, axis=1, keepdims=True)) / np.std(x, axis=1, keepdims=True),
        "vjp",
        ({"x": _MATRIX}, {"x": _ROWS}),
        hints=(
            "y does not change when x is moved or stretched: what goes on to a row has mean 0, and no part along y.",
            "Start from g and take out, row by row, the two parts that the first hint forbids; the scale is left.",
        ),
    ),
    Declaration(
        "second_derivative",
        "y is the slope of tanh already. How fast does the slope change? That is the second derivative of tanh.",
        lambda x: 1 - np.tanh(x) ** 2,
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "A square with something inside it: multiply two rates.",
            "The inner rate is y itself.",
        ),
    ),
]
