"""The exercises of the course, in its order; each is a declaration, and none has an answer."""

import numpy as np

from tinygrad_lite.engine.op import Array
from tinygrad_lite.exercises.declaration import Declaration
from tinygrad_lite.ops.networks.activations import relu

_NUMBERS = np.array([-2.0, 0.5, 1.5])
_UNEVEN = np.array([-2.0, 0.5, 3.0])  # whose sum is not 0, as that of the numbers above is
_OTHERS = np.array([0.75, -1.25])
_MATRIX = np.array([[1.0, -0.5, 2.0], [0.25, 1.5, -1.0]])
_ROWS = np.array([[0.5, -1.0, 2.0, 0.0], [1.5, 0.25, -0.75, 1.0], [-0.5, 2.5, 1.25, 0.75]])
_WEIGHTS = np.array([[0.5, -1.0, 0.25], [1.0, 0.75, -0.5], [-0.25, 0.5, 1.5]])


def network(w1: Array, b1: Array, w2: Array, b2: Array, x: Array, t: Array) -> Array:
    a = np.tanh(x @ w1 + b1)
    z = a @ w2 + b2
    return np.mean(np.log(1 + np.exp(z)) - t * z)


def slide(x: Array, w: Array) -> Array:
    n = x.size - w.size + 1
    return sum(w[k] * x[k : k + n] for k in range(w.size))


def attention(q: Array, k: Array, v: Array) -> Array:
    scores = q @ k.T / np.sqrt(q.shape[1])
    p = np.exp(scores) / np.sum(np.exp(scores), axis=1, keepdims=True)
    return p @ v


def velocity(gradients: Array, m: Array) -> Array:
    moving = 0.0
    for gradient in gradients:
        moving = m * moving + gradient
    return moving


def autoencoder(w: Array, x: Array, t: Array) -> Array:
    a = np.tanh(x @ w)
    return np.mean((a @ w.T - t) ** 2)


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
            "Nudge x by a small h. By how much does x² grow?",
            "Multiply (x + h)² out. Which term has one h?",
            "x occurs twice in x · x; each occurrence contributes the other one.",
        ),
    ),
    Declaration(
        "exp",
        "The exponential function.",
        lambda x: np.exp(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "Compare the steepness of the curve with its height, at several x.",
            "A nudge of h multiplies the result by exp(h), which is nearly 1 + h.",
            "Which function is its own derivative?",
        ),
    ),
    Declaration(
        "chain_rule",
        "One number goes through two steps, u = 3x + 1 and y = u². How fast does y change with x?",
        lambda x: (3 * x + 1) ** 2,
        "derivative",
        ({"x": 2.0}, {"x": -1.5}),
        hints=(
            "Nudge u alone first: how fast does u² change? Then ask how fast u changes with x.",
            "The two rates are multiplied.",
            "The first of the two rates is taken at u, not at x. Write u in terms of x.",
        ),
    ),
    Declaration(
        "softplus",
        "The softplus, a rectifier without a corner.",
        lambda x: np.log(1 + np.exp(x)),
        "derivative",
        ({"x": np.array([-2.0, 0.25, 3.0])}, {"x": _OTHERS}),
        hints=(
            "Which steps does x go through, one after another? Inside the logarithm, the 1 is a constant.",
            "A logarithm, and what is inside it: multiply the two rates.",
            "The rate of a logarithm is 1 over what is inside it. The whole is a function that you know by name.",
        ),
    ),
    Declaration(
        "numerator",
        "A quotient, differentiated with respect to its numerator.",
        lambda a, b: a / b,
        "derivative",
        (
            {"a": np.array([1.0, -2.0, 3.0]), "b": np.array([4.0, 0.5, -1.5])},
            {"a": _OTHERS, "b": np.array([-3.0, 1.25])},
        ),
        by="a",
        hints=(
            "While b stands still, a is the only thing that moves.",
            "Write the quotient as a product with a in it.",
            "The function multiplies a by a fixed number: how far does the result move for a nudge of a?",
        ),
    ),
    Declaration(
        "denominator",
        "A quotient, differentiated with respect to its denominator.",
        lambda a, b: a / b,
        "derivative",
        (
            {"a": np.array([1.0, -2.0, 3.0]), "b": np.array([4.0, 0.5, -1.5])},
            {"a": _OTHERS, "b": np.array([-3.0, 1.25])},
        ),
        by="b",
        hints=(
            "With a positive quotient and a growing denominator, does the result grow?",
            "Write 1/b as a power of b. What is the rule for powers?",
            "The rule for powers, with the exponent -1; y may make it shorter.",
        ),
    ),
    Declaration(
        "reciprocal",
        "Three steps, u = x², v = u + 1 and y = 1/v.",
        lambda x: 1 / (x**2 + 1),
        "numbers",
        ({"x": 1.0},),
        hints=(
            "Write down u, v and y first, then the local derivative of each step.",
            "The derivative of 1/v is taken at v. Which sign has it?",
            "Multiply the three.",
        ),
    ),
    Declaration(
        "used_twice",
        "The same x goes into both factors. What comes back through each, and what is the whole?",
        lambda x: x * np.sin(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "x is used in two places. Call the two uses u and v.",
            "Differentiate with respect to each use while the other stands still; then both are x again.",
            "One use contributes the other factor; the other one goes through the sine. They add up.",
        ),
    ),
    Declaration(
        "square_plus",
        "A value used in two places, b = a · a and c = b + a.",
        lambda a: a * a + a,
        "numbers",
        ({"a": 3.0},),
        hints=(
            "Which steps use a? One of them uses it twice.",
            "Nudge a in one place at a time, and hold it still in the others.",
            "Add up what the three uses hand back.",
        ),
    ),
    Declaration(
        "three_uses",
        "The same value three times, b = a + a + a.",
        lambda a: a + a + a,
        "numbers",
        ({"a": 2.0},),
        hints=(
            "How many uses has a?",
            "Each use hands back the gradient of b, as if it were the only one.",
            "The gradient of b with respect to itself is 1.",
        ),
    ),
    Declaration(
        "two_losses",
        "Two losses pull at the same w, (w - 3)² and (2w)². What does .grad show after backward() of both?",
        lambda w: (w - 3) ** 2 + (2 * w) ** 2,
        "derivative",
        ({"w": 2.0}, {"w": -1.0}),
        hints=(
            "Take each loss on its own first.",
            "Each has two steps, and the outer step is a square. Mind what is inside the second square.",
            "Nothing was set to zero between the two passes, so what the first left is still there.",
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
            "One b stands for each column, so what comes back along a column belongs to it. Along which axis is that?",
        ),
    ),
    Declaration(
        "scale",
        "One number s scales all of x, and the loss is the sum of all entries.",
        lambda s, x: np.sum(s * x),
        "numbers",
        ({"s": 2.0, "x": _MATRIX},),
        hints=(
            "In how many entries of the product does s occur?",
            "Each of them moves by its own x for a nudge of s.",
            "What is spread on the way forward is gathered on the way back.",
        ),
    ),
    Declaration(
        "sum",
        "The sum of all entries, which is one number; so g is one number, too.",
        lambda x: np.sum(x),
        "vjp",
        ({"x": _UNEVEN}, {"x": _MATRIX}),
        hints=(
            "Nudge one entry of x by h. How far does the sum move?",
            "Each entry moves the sum by as much as it moves itself.",
            "The result has the shape of x, and each of its entries is the same number: which one?",
        ),
    ),
    Declaration(
        "mean",
        "The mean of all entries.",
        lambda x: np.mean(x),
        "vjp",
        ({"x": _UNEVEN}, {"x": _MATRIX}),
        hints=(
            "Nudge one entry of x by h. How far does the mean move?",
            "It is the same as for the sum, up to one factor.",
            "The factor depends on x.size. The result has the shape of x.",
        ),
    ),
    Declaration(
        "centred",
        "The mean of a row is subtracted from the row, and the loss is the sum of the squares.",
        lambda x: np.sum((x - np.mean(x)) ** 2),
        "numbers",
        ({"x": np.array([1.0, 2.0, 6.0])},),
        hints=(
            "Write down the three differences. What comes back to each of them from its square?",
            "Each x goes two ways: directly, and through the mean.",
            "What comes back to the mean is a sum. What is the sum of the differences?",
        ),
    ),
    Declaration(
        "matmul_left",
        "A matrix product, differentiated with respect to its first factor.",
        lambda a, b: a @ b,
        "vjp",
        ({"a": _MATRIX, "b": _ROWS}, {"a": _ROWS, "b": np.array([[1.0], [0.5], [-2.0], [0.25]])}),
        by="a",
        hints=(
            "y[i, j] is the sum of a[i, k] b[k, j] over k. Which entries of y does a[i, k] reach, with which factor?",
            "It reaches row i of y. Multiply what comes back by the factors and add up: over which index is that sum?",
            "Look at the shapes: a product of g and b, one of them transposed, must have the shape of a.",
        ),
    ),
    Declaration(
        "matmul_right",
        "A matrix product, differentiated with respect to its second factor.",
        lambda a, b: a @ b,
        "vjp",
        ({"a": _MATRIX, "b": _ROWS}, {"a": _ROWS, "b": np.array([[1.0], [0.5], [-2.0], [0.25]])}),
        by="b",
        hints=(
            "y[i, j] is the sum of a[i, k] b[k, j] over k. Which entries of y does b[k, j] reach, with which factor?",
            "b[k, j] reaches column j of y, with the factors in column k of a.",
            "Look at the shapes: a product of a and g, one of them transposed, must have the shape of b.",
        ),
    ),
    Declaration(
        "dot",
        "The dot product of two vectors, differentiated with respect to the first.",
        lambda a, b: a @ b,
        "numbers",
        ({"a": np.array([1.0, 2.0]), "b": np.array([3.0, 4.0])},),
        hints=(
            "Write the product as a sum of two terms.",
            "Nudge one entry of a: which term moves, and how far?",
            "Each entry of a is multiplied by one constant number.",
        ),
    ),
    Declaration(
        "sigmoid",
        "The logistic function, which turns any number into a probability.",
        lambda x: 1 / (1 + np.exp(-x)),
        "derivative",
        ({"x": np.array([-3.0, 0.0, 2.0])}, {"x": _OTHERS}),
        hints=(
            "Where is the curve flat, and where is it steepest?",
            "It can be written with y alone.",
            "Where y is nearly 0 or nearly 1, the curve is flat: which product of two factors vanishes at both ends?",
        ),
    ),
    Declaration(
        "cross_entropy",
        "The mean cross-entropy of the probability sigmoid(z) of a label t, 0 or 1; differentiate with respect to z.",
        lambda z, t: np.mean(np.log(1 + np.exp(z)) - t * z),
        "vjp",
        ({"z": _NUMBERS, "t": np.array([0, 1, 1])}, {"z": _OTHERS, "t": np.array([1, 0])}),
        by="z",
        hints=(
            "Each of the two terms by itself, and the mean at the end.",
            "You know the first term from `softplus`; the second is a product with a constant.",
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
            "Nudge one entry of a row. Which entries of y move, and in which direction?",
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
            "Three steps: exponentials, a sum along each row, a logarithm.",
            "1 over the sum, times the exponential of the entry: which function of the row is that?",
            "g has one number for each row: np.expand_dims(g, 1), or g[:, None], makes a column of it.",
        ),
    ),
    Declaration(
        "mean_squared_error",
        "The mean squared error of a prediction p, differentiated with respect to p.",
        lambda p, t: np.mean((p - t) ** 2),
        "vjp",
        ({"p": _NUMBERS, "t": np.array([-1.0, 1.0, 1.0])}, {"p": _MATRIX, "t": np.zeros((2, 3))}),
        by="p",
        hints=(
            "Three steps: a difference, a square, a mean.",
            "Each of the three has its own factor.",
            "The difference contributes 1, and the mean a division by the number of entries. What is left?",
        ),
    ),
    Declaration(
        "class_loss",
        "The loss of the first class among three: the logarithm of the sum of exponentials, minus its z.",
        lambda z: np.log(np.sum(np.exp(z))) - z[0],
        "numbers",
        ({"z": np.array([2.0, 0.0, -1.0])},),
        hints=(
            "Differentiate the two terms one by one.",
            "The logarithm of the sum gives each z its probability.",
            "What do the numbers have in common with p - t, where t is 1 for the first class and 0 for the others?",
        ),
    ),
    Declaration(
        "tanh",
        "The hyperbolic tangent, which goes from -1 to 1.",
        lambda x: np.tanh(x),
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "Where is the curve flat, and where is it steepest?",
            "It can be written with y alone. It vanishes where y is nearly -1 or nearly 1.",
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
            "What goes on to a value has its shape, and the tanh keeps it. The last product sums over the patients.",
        ),
    ),
    Declaration(
        "relu",
        "The rectifier, max(x, 0). At its corner take the slope from the left, as docs/conventions.md says.",
        relu,
        "derivative",
        ({"x": np.array([-1.5, 0.0, 2.0, 0.5])}, {"x": np.array([0.0, 3.0, -4.0])}),
        hints=(
            "To either side the curve is a straight line.",
            "What are the two slopes? And which entries lie exactly on the corner?",
            "A comparison of x with 0 gives True and False, which NumPy counts as 1 and 0. With < or with <=?",
        ),
    ),
    Declaration(
        "standardise",
        "Each row is moved to mean 0 and scaled to standard deviation 1, as layer normalisation does.",
        lambda x: (x - np.mean(x, axis=1, keepdims=True)) / np.std(x, axis=1, keepdims=True),
        "vjp",
        ({"x": _MATRIX}, {"x": _ROWS}),
        hints=(
            "What happens to y if a row is moved, or stretched?",
            "y does not change when x is moved or stretched: what goes on to a row has mean 0, and no part along y.",
            "Start from g and take out, row by row, the two parts that the second hint forbids; the scale is left.",
        ),
    ),
    Declaration(
        "second_derivative",
        "y is the slope of tanh already. How fast does the slope change? That is the second derivative of tanh.",
        lambda x: 1 - np.tanh(x) ** 2,
        "derivative",
        ({"x": _NUMBERS}, {"x": _OTHERS}),
        hints=(
            "A square with something inside it, and a sign before it.",
            "Multiply two rates: that of the square, taken at the tanh, and that of the tanh.",
            "The inner rate is y itself.",
        ),
    ),
    Declaration(
        "initialisation",
        "Three layers whose weights all have the scale s. How fast does the size of what comes out change with s?",
        lambda s, x, w: np.mean((x @ (s * w) @ (s * w) @ (s * w)) ** 2),
        "derivative",
        ({"s": 0.5, "x": _ROWS[:, :3], "w": _WEIGHTS}, {"s": 1.25, "x": _MATRIX, "w": _WEIGHTS.T}),
        hints=(
            "s is a number: take it out of each product, and out of the square. What is y as a function of s alone?",
            "y is a power of s times something that does not depend on s. With 30 layers, which power would it be?",
            "The rule for powers; y is known, and y / s is the power with one s fewer.",
        ),
    ),
    Declaration(
        "convolution",
        "A kernel w slides along x, and each output is the sum of what lies under it. What goes on to the kernel?",
        slide,
        "vjp",
        (
            {"x": np.array([1.0, -2.0, 0.5, 3.0, -1.0]), "w": np.array([0.5, -1.0, 2.0])},
            {"x": np.array([0.25, 1.5, -0.75, 2.0]), "w": np.array([1.0, -0.5])},
        ),
        by="w",
        hints=(
            "Write out y[0] and y[1] for a kernel of two. Which outputs use w[0], and with which factor?",
            "Every output uses every entry of the kernel, as every row of a batch uses the weights: it is a sum.",
            "For w[k], the factors are the piece of x that starts at k and is as long as g. Slide g along x.",
        ),
    ),
    Declaration(
        "attention",
        "Each query q takes the mean of the values v, weighted by how well q fits the keys k. What goes on to q?",
        attention,
        "vjp",
        (
            {"q": _MATRIX, "k": _ROWS[:, :3], "v": _ROWS},
            {"q": _ROWS[:, :3], "k": _MATRIX, "v": np.array([[1.0, -0.5], [0.25, 2.0]])},
        ),
        by="q",
        hints=(
            "Compute the weights p again. Then go back: y = p @ v, p = softmax of the scores, scores = q @ k.T / √d.",
            "Three steps that you know: `matmul_left`, `softmax`, and `matmul_left` once more. Write down each shape.",
            "What goes on to p has the shape of p, and so does what goes on to the scores. The last product has no "
            "transpose, since the keys were transposed on the way forward; and do not forget the root.",
        ),
    ),
    Declaration(
        "momentum",
        "The velocity of gradient descent with momentum m, after a few gradients. How much does each of them count?",
        velocity,
        "vjp",
        (
            {"gradients": np.array([1.0, -0.5, 2.0, 0.25]), "m": 0.5},
            {"gradients": np.array([-1.0, 3.0, 0.5]), "m": 0.8},
        ),
        by="gradients",
        hints=(
            "Write out the velocity after three gradients. What stands before each of them?",
            "The last gradient has been multiplied by m not once, the one before it once, and so on.",
            "The factors are powers of m; np.arange(n) has the exponents, in one order or the other.",
        ),
    ),
    Declaration(
        "adam",
        "Adam divides a gradient by its size, and by a little e more. How much does the step change with the gradient?",
        lambda x, e: x / (np.sqrt(x**2) + e),
        "derivative",
        ({"x": _NUMBERS, "e": 0.1}, {"x": _OTHERS, "e": 0.25}),
        hints=(
            "Make a large x ten times as large. How much larger is the step? What does that say of the slope?",
            "A quotient: x occurs above and below. For a positive x it is x / (x + e).",
            "What comes back through the numerator and through the denominator nearly cancels; only a multiple of e is "
            "left, over a square.",
        ),
    ),
    Declaration(
        "forward_mode",
        "All entries of x set out in the direction v, and s is how far they are. How fast does y change with s?",
        lambda s, x, v: np.sum(np.tanh(x + s * v)),
        "derivative",
        ({"s": 0.25, "x": _NUMBERS, "v": np.array([1.0, -0.5, 2.0])}, {"s": -0.5, "x": _OTHERS, "v": _OTHERS[::-1]}),
        hints=(
            "Take a rate along with each value. The value of x + s v is x + s v: what is its rate?",
            "Each step turns the rate that it is given into the next: local times incoming. Nothing runs backward.",
            "The rate of tanh is known from `tanh`, taken at x + s v; the sum adds the rates up to one number.",
        ),
    ),
    Declaration(
        "mystery",
        """An autoencoder that is good for nothing: its loss falls a little, and then no more. Find what is wrong.

Its weights are used twice, to encode and to decode. Its backward pass was written by hand, and has two mistakes:

    def vjp(g, y, w, x, t):
        a = np.tanh(x @ w)
        d = g * 2 * (a @ w.T - t) / len(t)
        return x.T @ ((d @ w) * (1 - a**2))

Write it without them.""",
        autoencoder,
        "vjp",
        (
            {"w": _WEIGHTS[:, :2], "x": _ROWS[:, :3], "t": _ROWS[:, :3]},
            {"w": _WEIGHTS, "x": _MATRIX, "t": _MATRIX + 0.5},
        ),
        by="w",
        hints=(
            "Fix one mistake at a time: once only one is left, the mark names it.",
            "In how many places does w occur in the function, and in how many ways does a gradient come back to it?",
            "Over how many numbers is the mean? And what goes on to w from a @ w.T, where it is transposed?",
        ),
    ),
]
