"""The pictures of the lessons, by name. Every number in them is computed by the package, when the site is built."""

from collections.abc import Callable
from functools import cache
from itertools import pairwise

import numpy as np
from figures import Canvas, Drawn

import tinygrad_lite as tg
from tinygrad_lite import nn, optim
from tinygrad_lite.nn import functional as F


def _term(number: float) -> str:
    """A number as a term of a sum or a product, in brackets if it is negative."""
    return f"({number:g})" if number < 0 else f"{number:g}"


def two_ways() -> Drawn:
    """Lesson 1: a nudge is multiplied along each path, and added where the paths meet."""

    def u_of(x):
        return 2 * x + 1

    def y_of(u, x):
        return 3 * u + x

    x = 1.0
    u, along = tg.value_and_grad(u_of)(x)
    y, (by_u, by_x) = tg.value_and_grad(y_of, argnums=(0, 1))(u, x)
    canvas = Canvas((0, 17.4), (0.75, 3.35), height=270)
    fixed = "".join(canvas.text(tick, 0.5, f"{tick}", "", "middle") for tick in range(0, 18, 2))
    for name, row, value in (("x", 3.1, x), ("u", 2.0, u), ("y", 0.9, y)):
        fixed += canvas.text(-0.9, row - 0.05, name, "", "middle") + canvas.line((0, 17), (row, row), "ink thin")
        fixed += canvas.line((value, value), (row - 0.14, row + 0.14), "ink")
    frames = []
    for h in np.linspace(-1, 1, 41).round(2):
        through, straight = by_u * along * h, by_x * h
        assert np.isclose(y_of(u_of(x + h), x + h), y + through + straight)
        at_x, at_u, at_y = x + h, u + along * h, y + through + straight
        picture = ""
        for start, end, top, bottom, factor, kind, aside in (
            (at_x, at_u, 3.1, 2.0, along, "k0", -0.5),
            (at_u, y + through, 2.0, 0.95, by_u, "k0", -0.6),
            (at_x, at_y, 3.1, 0.95, by_x, "k1", 0.9),
        ):
            picture += canvas.line((start, end), (top, bottom), f"{kind} dashed")
            middle = (start + end) / 2 + aside, (top + bottom) / 2 + 0.2 * np.sign(aside)
            picture += canvas.text(*middle, f"× {factor:g}", kind, "start" if aside > 0 else "end")
        for start, end, row, kind in (
            (x, x + h, 3.1, "k2"),
            (u, u + along * h, 2.0, "k0"),
            (y, y + through, 0.9, "k0"),
            (y + through, y + through + straight, 0.9, "k1"),
        ):
            picture += canvas.box((min(start, end), max(start, end)), (row - 0.09, row + 0.09), f"bar {kind}")
        picture += canvas.dot(x + h, 3.1, "k2")
        words = f"x moves by {h:g}, so u moves by {along:g} · {_term(h)} = {along * h:g}. Through u, y moves by "
        words += f"{by_u:g} · {_term(along * h)} = {through:g} (blue), and straight from x by {straight:g} (orange). "
        both = f"{through:g} + {_term(straight)} = {through + straight:g}"
        frames.append((picture, words + f"Together y moves by {both}."))
    title = "A nudge of x, on its two paths to y"
    return Drawn(canvas, title, fixed, "x", frames, 30, (0, 2))


def tangent() -> Drawn:
    """Lesson 1: the slope of a curve, wherever one likes."""

    def f(x):
        return x * x

    canvas = Canvas((-2.2, 3.7), (-3, 12), ("x", "y = x · x"))
    xs = np.linspace(-2.2, 3.5, 80)
    frames = []
    for x in np.linspace(-2, 3.4, 55):
        y, slope = tg.value_and_grad(f)(x)
        picture = canvas.line((x - 1.2, x + 1.2), (y - 1.2 * slope, y + 1.2 * slope), "k1") + canvas.dot(x, y, "k1")
        change = f(x + 0.1) - y
        words = f"At x = {x:.1f} the slope is {slope:.1f}. A nudge of 0.1 changes y by {change:.2f}: "
        frames.append((picture, words + f"slope times nudge, {slope / 10:.2f}, and 0.1 squared, 0.01."))
    fixed = canvas.axes(range(-2, 4), range(-3, 13, 3)) + canvas.line(xs, f(xs), "k0")
    return Drawn(canvas, "The square, and its tangent at a point that moves", fixed, "x", frames, 50, (-2, 3.4))


def rectangle() -> Drawn:
    """Lesson 2: a side that is used twice, once as it is and once doubled, and the area."""

    def area(b):
        return b * (b + b)

    b = 2.0
    c, (direct, through) = b + b, tg.grad(lambda b, c: b * c, argnums=(0, 1))(b, b + b)
    canvas = Canvas((-1.6, 9.2), (-0.3, 6.6), width=620, height=400)
    fixed = canvas.box((0, b), (0, c), "cell") + canvas.text(b / 2, c / 2 - 0.1, f"d = {b * c:g}", "", "middle")
    fixed += canvas.text(b / 2, -0.5, "b", "", "middle") + canvas.text(-0.15, c / 2 - 0.1, "c = b + b", "", "end")
    frames = []
    for h in np.linspace(0, 1, 21).round(2):
        corner = area(b + h) - area(b) - direct * h - through * 2 * h
        assert np.isclose(corner, 2 * h * h)
        picture = canvas.box((b, b + h), (0, c), "bar k0") + canvas.box((0, b), (c, c + 2 * h), "bar k1")
        picture += canvas.line((b, b + h, b + h), (c + 2 * h, c + 2 * h, c), "ink thin dashed")
        for at, text, kind in (
            (5.6, f"b as a side: c · {h:g} = {direct * h:.3g}", "k0"),
            (4.7, f"b inside c: b · {2 * h:g} = {through * 2 * h:.3g}", "k1"),
            (3.8, f"the corner: {corner:.3g}", ""),
        ):
            picture += canvas.text(4.2, at, text, kind)
        words = f"b grows by {h:g}, and c by {2 * h:g}. The area grows by {direct * h:.3g} at the side (blue) and by "
        words += f"{through * 2 * h:.3g} on top (orange), together {direct + through * 2:g} · {h:g}. "
        frames.append((picture, words + f"The corner adds {corner:.3g}."))
    return Drawn(canvas, "A rectangle with the sides b and b + b, which grows", fixed, "Nudge of b", frames, 8)


def forgetting() -> Drawn:
    """Lesson 3: the loop with zero_grad and without it."""
    canvas = Canvas((-2, 8), (-1, 14), ("w", "loss = (w − 3)²"))
    ws = np.linspace(-0.5, 6.5, 80)  # below the names
    fixed = canvas.axes(range(-2, 9, 2), range(0, 15, 2)) + canvas.line(ws, (ws - 3) ** 2, "ink thin")
    fixed += canvas.text(2, 12.6, "● with zero_grad", "k0") + canvas.text(2, 11.2, "● without it", "k1")
    w_of = {}
    for forget in (True, False):
        w = tg.tensor(0.0, requires_grad=True)
        optimizer = optim.SGD([w], lr=0.1)
        w_of[forget] = [0.0]
        for _ in range(40):
            if forget:
                optimizer.zero_grad()
            ((w - 3) ** 2).backward()
            optimizer.step()
            w_of[forget].append(w.item())
    frames = []
    for k, (kept, summed) in enumerate(zip(w_of[True], w_of[False])):
        picture = canvas.dot(summed, (summed - 3) ** 2, "k1") + canvas.dot(kept, (kept - 3) ** 2, "k0")
        frames.append((picture, f"After step {k}: w = {kept:.2f} with zero_grad, and {summed:.2f} without it."))
    return Drawn(canvas, "Two balls in a bowl: one settles, one swings for ever", fixed, "Step", frames, 4)


def broadcasting() -> Drawn:
    """Lesson 4: one bias, three rows, and the way back."""
    x, b = np.array([[1.0, 2], [3, 4], [5, 6]]), np.array([10.0, 20])
    y = x + b
    g = 2 * y
    canvas = Canvas((0.2, 13.4), (0, 7), height=360)
    fixed = "".join(
        canvas.text(at, 6.2, text)
        for at, text in ((0.4, "b, three times"), (5.6, "y = x + b"), (9.8, "g arrives at y"))
    )
    frames = []
    for j, name in enumerate(("first", "second")):

        def lit(_: int, column: int, chosen: int = j) -> str:
            return "lit" if column == chosen else ""

        picture = canvas.cells([[f"{v:g}" for v in b]] * 3, 0.4, 5.7, lit)
        picture += canvas.cells([[f"{v:g}" for v in row] for row in y], 5.6, 5.7, lit)
        picture += canvas.cells([[f"{v:g}" for v in row] for row in g], 9.8, 5.7, lit)
        picture += canvas.cells([[f"{v:g}" for v in g.sum(axis=0)]], 9.8, 1.6, lit)
        picture += canvas.text(9.8, 1.85, "∂L/∂b, sums")
        terms = " + ".join(f"{v:g}" for v in g[:, j])
        frames.append((picture, f"The {name} bias, {b[j]:g}, moves three entries of y: {terms} = {g[:, j].sum():g}."))
    return Drawn(canvas, "A bias that is repeated for three rows", fixed, "Column", frames)


def spreading() -> Drawn:
    """Lesson 4b: what arrives at the sum of a row goes on to each entry of the row."""
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    g = np.array([1.0, 10.0, 100.0])
    y, pullback = tg.vjp(lambda x: np.sum(x, axis=1), x)
    handed = pullback(g)[0]
    canvas = Canvas((0, 10.4), (1.6, 5.6), width=620, height=260)
    fixed = "".join(
        canvas.text(at, 5.1, text, "", "middle")
        for at, text in ((1.2, "x"), (3.7, "y, its sums"), (6.2, "g arrives"), (8.7, "and goes on"))
    )
    frames = []
    for i, row in enumerate(x):

        def lit(r: int, _: int, chosen: int = i) -> str:
            return "lit" if r == chosen else ""

        tables = ((0.2, x), (3.2, y[:, None]), (5.7, g[:, None]), (7.7, handed))
        picture = "".join(canvas.cells([[f"{v:g}" for v in r] for r in table], at, 4.8, lit) for at, table in tables)
        words = f"{' + '.join(f'{v:g}' for v in row)} = {y[i]:g}: each entry of this row moves its sum by as much as "
        frames.append((picture, words + f"itself, so the {g[i]:g} that arrives at the sum goes on to both."))
    return Drawn(canvas, "The sums of three rows, and what goes on to each entry", fixed, "Row", frames, 1)


def table_of_derivatives() -> Drawn:
    """Lesson 4b: what goes on is the upstream gradient times the table of all derivatives, column by column."""
    x = np.array([[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]])
    g = np.array([1.0, 10.0, 100.0])

    def sums(x):
        return np.sum(x, axis=1)

    table = tg.jacobian(sums)(x).reshape(g.size, x.size)
    _, pullback = tg.vjp(sums, x)
    handed = pullback(g)[0].ravel()
    canvas = Canvas((0, 10), (0, 6.2), width=620, height=340)
    entries = [f"x[{i},{j}]" for i, j in np.ndindex(x.shape)]
    fixed = canvas.text(0.7, 4.85, "g", "", "middle") + canvas.text(0.15, 0.6, "goes on to x", "")
    fixed += canvas.text(2.9, 4.85, "x", "", "end")
    fixed += "".join(canvas.text(k + 3.5, 4.85, entry[1:], "", "middle") for k, entry in enumerate(entries))
    fixed += "".join(canvas.text(2.9, 3.85 - i, f"y[{i}]", "", "end") for i in range(g.size))
    fixed += canvas.text(6, 5.6, "∂y/∂x: each entry of y, by each entry of x", "", "middle")
    fixed += canvas.cells([[f"{v:g}"] for v in g], 0.2, 4.5, lambda *_: "lit")
    frames = []
    for k, entry in enumerate(entries):

        def lit(_: int, column: int, chosen: int = k) -> str:
            return "lit" if column == chosen else ""

        picture = canvas.cells([[f"{v:g}" for v in row] for row in table], 3, 4.5, lit)
        picture += canvas.cells([[f"{v:g}" for v in handed]], 3, 1.1, lit)
        terms = " + ".join(f"{a:g} · {b:g}" for a, b in zip(g, table[:, k]))
        frames.append((picture, f"To {entry}: g times its column, {terms} = {handed[k]:g}."))
    return Drawn(
        canvas, "The table of derivatives of three sums, and g times the table", fixed, "Entry of x", frames, 2
    )


def row_meets_column() -> Drawn:
    """Lesson 5: each entry of the two gradients, where a row of one factor meets a column of the other."""
    a = np.array([[1.0, 2.0, 0.0], [3.0, -1.0, 2.0]])
    b = np.array([[5.0, 1.0], [6.0, 0.0], [-2.0, 4.0]])
    g = np.array([[1.0, 10.0], [2.0, -1.0]])
    canvas = Canvas((0, 10), (0, 6.2), width=620, height=360)
    _, pullback = tg.vjp(np.matmul, a, b)
    frames = []
    for name, left, right, product, names in zip("ab", (g, a.T), (b.T, g), pullback(g), (("g", "bᵀ"), ("aᵀ", "g"))):
        height, wide = product.shape
        across, down = left.shape[1] + 1.4, 5.4 - right.shape[0] - 0.5
        for i, j in np.ndindex(product.shape):
            numbers = [[[f"{v:g}" for v in row] for row in table] for table in (left, right, product)]

            def row(r: int, _: int, chosen: int = i) -> str:
                return "lit" if r == chosen else ""

            def column(_: int, c: int, chosen: int = j) -> str:
                return "lit" if c == chosen else ""

            def meeting(r: int, c: int, chosen: tuple[int, int] = (i, j)) -> str:
                return "lit" if (r, c) == chosen else ""

            picture = canvas.cells(numbers[0], 0.9, down, row) + canvas.cells(numbers[1], across, 5.4, column)
            picture += canvas.cells(numbers[2], across, down, meeting)
            picture += canvas.text(0.75, down - height / 2 - 0.1, names[0], "", "end")
            picture += canvas.text(across + wide / 2, 5.6, names[1], "", "middle")
            picture += canvas.text(across + wide + 0.2, down - height / 2 - 0.1, f"the gradient of {name}")
            pairs = (map(_term, pair) for pair in zip(left[i], right[:, j]))
            terms = " + ".join(" · ".join(pair) for pair in pairs)
            words = f"Row {i + 1} of {names[0]} meets column {j + 1} of {names[1]}: {terms} = {product[i, j]:g}."
            frames.append((picture, words))
    return Drawn(canvas, "The gradients of both factors of a matrix product", "", "Entry", frames, 1)


def together() -> Drawn:
    """Lesson 6: the slopes of the sigmoid and of the loss, and their product."""
    canvas = Canvas((-4, 6), (-0.4, 4.2), ("z", "p, and the loss −log p of a yes"))
    zs = np.linspace(-4, 6, 101)
    fixed = canvas.axes(range(-4, 7, 2), range(5)) + canvas.line(zs, F.sigmoid(zs), "k0")
    fixed += canvas.line(zs, -np.log(F.sigmoid(zs)), "k1")
    fixed += canvas.text(4.4, 1.15, "p = σ(z)", "k0") + canvas.text(-2.6, 3.1, "−log p", "k1")
    frames = []
    for z in np.linspace(-3.6, 5.6, 47):
        p, slope = tg.value_and_grad(F.sigmoid)(z)
        loss, by_p = tg.value_and_grad(lambda p: -np.log(p))(p)
        product = slope * by_p
        assert np.isclose(product, p - 1)
        picture = canvas.line((z - 0.8, z + 0.8), (p - 0.8 * slope, p + 0.8 * slope), "k0 dashed")
        picture += canvas.line((z - 0.8, z + 0.8), (loss - 0.8 * product, loss + 0.8 * product), "k1 dashed")
        picture += canvas.dot(z, p, "k0") + canvas.dot(z, loss, "k1")
        words = (
            f"z = {z:.1f}, p = {p:.3f}. The sigmoid has the slope {slope:.3f}, and −log p the slope {by_p:.3g} with "
        )
        frames.append((picture, words + f"respect to p. Their product is {product:.3f}, and p − 1 is {p - 1:.3f}."))
    return Drawn(canvas, "A probability, its loss, and the slopes of both", fixed, "z", frames, 23, (-3.6, 5.6))


def sure_and_wrong() -> Drawn:
    """Lesson 6: the slopes of two losses."""
    canvas = Canvas((-10, 6), (-1.1, 0.25), ("z, when the truth is a yes", "slope of the loss"))

    def squared(z):
        return (F.sigmoid(z) - 1) ** 2

    zs = np.linspace(-10, 6, 121)
    slopes = {
        kind: tg.grad(lambda z, loss=loss: np.sum(loss(z)))(zs)
        for kind, loss in (("k0", lambda z: F.softplus(-z)), ("k1", squared))
    }
    fixed = canvas.axes(range(-10, 7, 2), (-1, -0.75, -0.5, -0.25, 0))
    fixed += "".join(canvas.line(zs, ys, kind) for kind, ys in slopes.items())
    fixed += canvas.text(-9.6, -0.88, "cross-entropy", "k0") + canvas.text(-9.6, 0.08, "squared error", "k1")
    frames = []
    for k in range(0, 121, 3):
        first, second = slopes["k0"][k], slopes["k1"][k]
        picture = canvas.dot(zs[k], first, "k0") + canvas.dot(zs[k], second, "k1")
        p = 1 / (1 + np.exp(-zs[k]))
        words = f"z = {zs[k]:.1f}: the network says {p:.2%}. Slope of the cross-entropy {first:.4f}, "
        frames.append((picture, words + f"of the squared error {second:.4f}."))
    return Drawn(canvas, "The slopes of two losses against z", fixed, "z", frames, 10, (-10, 6))


def network() -> Drawn:
    """Lesson 7: the network that learns; each line is a weight."""
    x, t = tg.datasets.load_heart(return_X_y=True)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    t = t[:, None].astype(float)
    model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    canvas = Canvas((0, 10), (0, 14), width=620, height=400)
    names = ["age", "sex", "pain", "pressure", "cholesterol", "sugar", "ECG", "rate", "angina", "depression", "slope"]
    names += ["vessels", "thallium"]
    places = [[(2.2, 13 - k) for k in range(13)], [(5.8, 11.9 - 1.4 * k) for k in range(8)], [(8.6, 7.0)]]
    fixed = "".join(canvas.text(1.9, 12.85 - k, name, "", "end") for k, name in enumerate(names))
    fixed += "".join(canvas.dot(*place, "k2") for layer in places for place in layer)
    fixed += canvas.text(8.9, 6.8, "ill?")
    frames = []
    for step in range(201):
        optimizer.zero_grad()
        z = model(tg.tensor(x))
        loss = F.binary_cross_entropy_with_logits(z, t)
        loss.backward()
        if step % 10 == 0:
            right = np.mean((z.numpy() > 0) == (t == 1))
            lines = []
            for (before, after), layer in zip(pairwise(places), (model[0], model[2])):
                for w, (i, j) in zip(layer.weight.numpy().ravel(), np.ndindex(layer.weight.shape)):
                    kind, width = "k1" if w > 0 else "k0", f'style="stroke-width:{3 * abs(w):.2f}px"'
                    lines.append(canvas.line(*zip(before[j], after[i]), kind, width))
            frames.append(("".join(lines), f"Step {step}: loss {loss.item():.3f}, {right:.0%} of the patients right."))
        optimizer.step()
    return Drawn(canvas, "The heart network: a line for each weight, wide if it is large", fixed, "Step", frames, 0)


def kink() -> Drawn:
    """Lesson 8: the lines that touch a corner."""
    canvas = Canvas((-2, 2), (-1.2, 2), ("x", "max(x, 0)"))
    xs = np.array([-2.0, 0, 2])
    fixed = canvas.axes(range(-2, 3), (-1, 0, 1, 2)) + canvas.line(xs, F.relu(xs), "k0")
    said = tg.grad(F.relu)(0.0)
    frames = []
    for slope in np.linspace(-0.5, 1.5, 21):
        picture = canvas.line((-2, 2), (-2 * slope, 2 * slope), "k1 dashed") + canvas.dot(0, 0, "k1")
        if -1e-9 < slope < 1 + 1e-9:
            words = "The line touches the curve and stays below it: a subgradient"
            words += ", and the one that the program chooses." if abs(slope - said) < 1e-9 else "."
        else:
            words = "The line is above the curve on one side: no subgradient."
        frames.append((picture, f"Slope {slope:.1f}. {words}".replace("-0.0", "0.0")))
    return Drawn(canvas, "A corner, and a line through it", fixed, "Slope", frames, 5)


def sigmoids() -> Drawn:
    """Lesson 9: what is left of a gradient after one sigmoid, two, and more."""
    x, most = 0.0, 8
    slopes = []
    for _ in range(most):
        x, slope = tg.value_and_grad(F.sigmoid)(x)
        slopes.append(slope)
    canvas = Canvas((-0.8, 8.8), (0, 1.2), ("steps back, through a sigmoid each", "gradient"))
    fixed = canvas.axes(range(most + 1), (0, 0.25, 0.5, 0.75, 1))
    left = np.cumprod([1.0, *slopes[::-1]])
    frames = []
    for n in range(most + 1):
        picture = "".join(canvas.box((k - 0.3, k + 0.3), (0, left[k]), "bar k0") for k in range(n + 1))
        picture += "".join(canvas.text(k, left[k] + 0.02, f"{left[k]:.2g}", "", "middle") for k in range(min(n, 3) + 1))
        number = f"{left[n]:.2g}" if left[n] > 1e-4 else f"{left[n]:.6f}"
        words = f"After {n} {'step' if n == 1 else 'steps'} back, {number} of the gradient is left."
        frames.append((picture, words if n else "The gradient sets out with 1, at the end of the chain."))
    return Drawn(canvas, "A gradient on its way back through eight sigmoids", fixed, "Steps back", frames, 2)


@cache
def _layers(activation: str, scale: float, depth: int = 20) -> tuple[np.ndarray, np.ndarray]:
    """The sizes of values and of gradients in each layer of a network whose weights have a size."""
    rng = np.random.default_rng(0)
    rows, pull = rng.normal(size=(2, 100, 50))
    weights = [rng.normal(size=(50, 50)) * scale / np.sqrt(50) for _ in range(depth)]
    function = {"tanh": np.tanh, "relu": F.relu}[activation]
    values = []

    def loss(nudges):
        h = rows
        values.clear()
        for w, nudge in zip(weights, nudges):
            h = function(h @ w) + nudge
            values.append(float(np.std(h.numpy())))
        return np.mean(h * pull)

    gradients = tg.grad(loss)([np.zeros((100, 50)) for _ in range(depth)])
    return np.array(values), np.array([np.sqrt(np.mean(g**2)) for g in gradients])


def _bars(canvas: Canvas, sizes: np.ndarray, kind: str, low: float) -> str:
    return "".join(
        canvas.box((k + 0.6, k + 1.4), (low, max(low, np.log10(max(size, 1e-300)))), f"bar {kind}")
        for k, size in enumerate(sizes)
    )


def gradient_per_layer() -> Drawn:
    """Lesson 9: what arrives at each layer, for weights of several sizes."""
    canvas = Canvas((0.4, 20.6), (-8, 4), ("layer", "log₁₀ of the gradient, relative to the last layer"))
    frames = []
    for scale in np.linspace(0.3, 3, 28):
        _, gradients = _layers("tanh", round(float(scale), 2))
        relative = gradients / gradients[-1]
        words = f"Weights times {scale:.1f}: the first layer gets {relative[0]:.1g} times what the last one gets."
        frames.append((_bars(canvas, relative, "k0", -8), words))
    fixed = canvas.axes((1, 5, 10, 15, 20), range(-8, 5, 2)) + canvas.line((0.4, 20.6), (0, 0), "ink thin dashed")
    return Drawn(canvas, "The gradient at each of twenty layers", fixed, "Size of the weights", frames, 2)


def equal_starts() -> Drawn:
    """Initialisation: the weights of four hidden units in training, from starts that differ more or less."""
    x = np.array([[1.0, -2.0], [0.5, 1.0], [2.0, 1.5], [-1.5, 0.5], [-1.0, -1.0], [0.0, 2.0]])
    t = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])[:, None]
    away = np.random.default_rng(4).normal(size=(2, 4))

    def loss(w, v):
        return np.mean((np.tanh(x @ w) @ v - t) ** 2)

    step_of = tg.value_and_grad(loss, argnums=(0, 1))
    canvas = Canvas((-1.6, 2.6), (-2.4, 1.6), ("first weight of a unit", "second weight"))
    fixed = canvas.axes(range(-1, 3), range(-2, 2))
    frames = []
    for spread in (0, 0.05, 0.1, 0.2, 0.3, 0.4, 0.5):
        w, v = 0.5 + spread * away, np.full((4, 1), 0.5)
        path = [w]
        for _ in range(300):
            found, (by_w, by_v) = step_of(w, v)
            w, v = w - 0.1 * by_w, v - 0.1 * by_v
            path.append(w)
        ways = np.array(path)
        picture = "".join(canvas.line(ways[:, 0, k], ways[:, 1, k], f"k{k % 3}") for k in range(4))
        picture += "".join(canvas.dot(*ways[-1, :, k], f"k{k % 3}") for k in range(4))
        if spread == 0:
            (start, height), (end, top) = ways[0, :, 0], ways[-1, :, 0]
            picture += canvas.text(start + 0.06, height - 0.22, "start")
            picture += canvas.text(end, top + 0.16, "all four units", "", "middle")
        count = len({tuple(unit) for unit in w.T.round(6)})
        units = {1: "all four units are the same", 4: "no two units are the same"}[count]
        frames.append((picture, f"Starts spread by {spread:g}: after 300 steps, {units}, and the loss is {found:.3f}."))
    return Drawn(canvas, "The ways of four hidden units in training", fixed, "Spread of the starts", frames, 0)


def values_per_layer() -> Drawn:
    """Initialisation: the size of the values, and of the gradients, for rectifiers."""
    canvas = Canvas((0.4, 20.6), (-6, 4), ("layer", "log₁₀ of the size of the values, after each rectifier"))
    frames = []
    for scale in np.linspace(0.6, 2.4, 19):
        values, _ = _layers("relu", round(float(scale), 2))
        words = f"Weights of size {scale:.1f}/√n: after 20 layers, the values are of size {values[-1]:.2g}."
        frames.append((_bars(canvas, values, "k2", -6), words))
    fixed = canvas.axes((1, 5, 10, 15, 20), range(-6, 5, 2)) + canvas.line((0.4, 20.6), (0, 0), "ink thin dashed")
    return Drawn(canvas, "The size of the values in twenty layers", fixed, "Size of the weights", frames, 4)


def bending() -> Drawn:
    """Lesson 10: a curve, the curve of its slopes, and the slope of that."""

    def cube(x):
        return x**3

    slope_of = tg.grad(cube)
    canvas = Canvas((-2.3, 2.8), (-9, 14), ("x", "y = x³, and its slope"))
    xs = np.linspace(-2.05, 2.15, 80)  # below the names
    fixed = canvas.axes(range(-2, 3), range(-8, 13, 4)) + canvas.line(xs, cube(xs), "k0")
    fixed += canvas.line(xs, [slope_of(x) for x in xs], "k1")
    fixed += canvas.text(2.2, 8.6, "y", "k0") + canvas.text(2.2, 12.6, "slope", "k1")
    frames = []
    for x in np.linspace(-2, 2, 41):
        y, slope, second = cube(x), slope_of(x), tg.grad(slope_of)(x)
        picture = canvas.line((x - 0.4, x + 0.4), (y - 0.4 * slope, y + 0.4 * slope), "k0 dashed")
        picture += canvas.line((x - 0.4, x + 0.4), (slope - 0.4 * second, slope + 0.4 * second), "k1 dashed")
        picture += canvas.line((x, x), (y, slope), "ink thin dashed")
        picture += canvas.dot(x, y, "k0") + canvas.dot(x, slope, "k1")
        words = (
            f"At x = {x:.1f}, y has the slope {slope:.2f}: that is the height of the orange curve. The orange curve "
        )
        bends = "upward" if second > 1e-9 else "downward" if second < -1e-9 else "neither way"
        frames.append((picture, words + f"has the slope {second:.1f}, so y bends {bends}.".replace("-0.0", "0.0")))
    return Drawn(canvas, "The cube, its slope, and the tangents of both", fixed, "x", frames, 30, (-2, 2))


def bowl() -> Drawn:
    """Lesson 10: gradient descent in a bowl, for several learning rates."""
    canvas = Canvas((-3, 3), (-1, 9), ("x", "y = 2 · x · x"))

    def f(x):
        return 2 * x**2

    xs = np.linspace(-1.95, 1.95, 80)  # below the name of the curve
    fixed = canvas.axes(range(-3, 4), range(0, 10, 2)) + canvas.line(xs, f(xs), "k0")
    frames = []
    for rate in np.linspace(0.02, 0.54, 27):
        path = [1.5]
        for _ in range(8):
            path.append(path[-1] - rate * tg.grad(f)(path[-1]))
        shown = [x for x in path if abs(x) < 2]
        picture = canvas.line(shown, [f(x) for x in shown], "k1") + "".join(canvas.dot(x, f(x), "k1") for x in shown)
        factor = 1 - 4 * rate
        if abs(factor) < 0.005:
            word = "one step is enough"
        else:
            word = "too far" if factor < -1.001 else "for ever to and fro" if factor < -0.999 else "it settles"
        frames.append((picture, f"Rate {rate:.2f}: each step multiplies x by {factor:.2f}: {word}."))
    return Drawn(canvas, "Steps down a bowl", fixed, "Learning rate", frames, 4)


def convolution() -> Drawn:
    """Convolution: a kernel at each of its positions."""
    x, w = np.array([0.0, 0, 0, 3, 3, 1]), np.array([-1.0, 0, 1])
    y = np.correlate(x, w, "valid")
    canvas = Canvas((0, 10), (0, 6), width=620, height=300)
    fixed = canvas.text(1.9, 5.35, "x", "", "end") + canvas.text(1.9, 3.85, "w", "", "end")
    fixed += canvas.text(1.9, 1.35, "y", "", "end")
    frames = []
    for i in range(len(y)):

        def under(_: int, k: int, first: int = i) -> str:
            return "lit" if first <= k < first + 3 else ""

        def written(_: int, k: int, at: int = i) -> str:
            return "lit" if k == at else ""

        picture = canvas.cells([[f"{v:g}" for v in x]], 2, 6, under)
        picture += canvas.cells([[f"{v:g}" for v in w]], 2 + i, 4.5, lambda *_: "lit")
        picture += canvas.cells([[f"{v:g}" if k <= i else "" for k, v in enumerate(y)]], 3, 2, written)
        terms = " + ".join(f"({a:g}) · {b:g}" if a < 0 else f"{a:g} · {b:g}" for a, b in zip(w, x[i : i + 3]))
        frames.append((picture, f"Position {i}: {terms} = {y[i]:g}"))
    return Drawn(canvas, "A kernel of three that slides along six numbers", fixed, "Position", frames, 1)


def attention() -> Drawn:
    """Attention: the weights for queries of several sizes."""
    rng = np.random.default_rng(3)
    q, k = rng.normal(size=(2, 5, 4))
    canvas = Canvas((-1.7, 6), (-0.6, 5.8))
    fixed = canvas.text(2.5, 5.2, "key", "", "middle")
    fixed += "".join(canvas.text(-0.2, 4.35 - i, f"query {i + 1}", "", "end") for i in range(5))
    frames = []
    for size in (0, 0.25, 0.5, 1, 2, 4, 8, 16):
        p = F.softmax(tg.tensor(size * q @ k.T / 2)).numpy()

        def heat(i: int, j: int, p: np.ndarray = p) -> str:
            return f'style="--heat:{70 * p[i, j]:.0f}%"'

        picture = canvas.cells([[f"{v:.2f}" for v in row] for row in p], 0, 5, lambda *_: "heat", heat)
        sure = f"the largest weight of a row is {p.max(axis=1).mean():.2f} in the mean"
        frames.append((picture, f"Queries times {size:g}: {sure}."))
    return Drawn(canvas, "The weights of five queries for five keys", fixed, "Size of the queries", frames, 3)


def optimisers() -> Drawn:
    """Optimisers: three ways down a valley."""
    canvas = Canvas((-4.5, 1.5), (-1.3, 1.4), ("flat", "steep"))

    def valley(v):
        return (v[0] ** 2 + 25 * v[1] ** 2) / 2

    fixed = canvas.axes(range(-4, 2), (-1, 0, 1))
    angles = np.linspace(0, 2 * np.pi, 73)
    for height in (0.25, 1, 2.5, 5, 9):
        radius = np.sqrt(2 * height)
        fixed += canvas.line(radius * np.cos(angles), radius / 5 * np.sin(angles), "ink thin dashed")
    makers = {
        "descent": lambda w: optim.SGD([w], lr=0.07),
        "momentum": lambda w: optim.SGD([w], lr=0.07, momentum=0.8),
        "Adam": lambda w: optim.Adam([w], lr=0.3, betas=(0.9, 0.99)),
    }
    paths = []
    for make in makers.values():
        w = tg.tensor([-4.0, 1.0], requires_grad=True)
        optimizer, path = make(w), [[-4.0, 1.0]]
        for _ in range(40):
            optimizer.zero_grad()
            valley(w).backward()
            optimizer.step()
            path.append(w.numpy().tolist())
        paths.append(np.array(path))
    fixed += "".join(canvas.text(-3.2 + 1.7 * k, 1.15, name, f"k{k}") for k, name in enumerate(makers))
    frames = []
    for step in range(41):
        lines = [
            canvas.line(*path[: step + 1].T, f"k{k}") + canvas.dot(*path[step], f"k{k}") for k, path in enumerate(paths)
        ]
        losses = ", ".join(f"{name} {valley(path[step]):.3f}" for name, path in zip(makers, paths))
        frames.append(("".join(lines), f"Step {step}: the loss is {losses}."))
    return Drawn(canvas, "Three optimisers in a narrow valley", fixed, "Step", frames, 12)


def both_ways() -> Drawn:
    """Forward and reverse mode: the same two derivatives, multiplied from the input on and from the result on."""

    def u_of(x):
        return 3 * x + 1

    def y_of(u):
        return u * u

    x = 2.0
    u, first = tg.value_and_grad(u_of)(x)
    y, second = tg.value_and_grad(y_of)(u)
    canvas = Canvas((0, 10), (0, 4), width=620, height=270)
    places = (2.1, 5.4, 8.7)
    values = (f"x = {x:g}", f"u = 3x + 1 = {u:g}", f"y = u · u = {y:g}")
    rates = (1.0, first, second * first)
    assert np.isclose(rates[-1], tg.jvp(lambda x: y_of(u_of(x)), (x,), (1.0,))[1])
    gradients = (tg.grad(lambda x: y_of(u_of(x)))(x), second, 1.0)
    forward, backward = 2.15, 0.7  # the heights of the two rows

    def arrow(height, start, end, kind):
        back = 0.13 if start < end else -0.13
        head = canvas.line((end - back, end, end - back), (height + 0.12, height, height - 0.12), kind)
        return canvas.line((start, end), (height, height), kind) + head

    def chip(k, height, number, kind, style=""):
        box = canvas.box((places[k] - 0.55, places[k] + 0.55), (height - 0.3, height + 0.3), kind, style)
        return box + canvas.text(places[k], height - 0.09, number, "", "middle")

    fixed = "".join(canvas.box((at - 1.25, at + 1.25), (3.05, 3.85), "cell") for at in places)
    fixed += "".join(canvas.text(at, 3.36, value, "", "middle") for at, value in zip(places, values))
    fixed += canvas.text(0, forward - 0.09, "rate", "k1") + canvas.text(0, backward - 0.09, "gradient", "k0")
    for k, local in enumerate((first, second)):
        left, right = places[k] + 0.65, places[k + 1] - 0.65
        fixed += arrow(3.45, places[k] + 1.25, places[k + 1] - 1.25, "ink thin")
        fixed += arrow(forward, left, right, "axis") + arrow(backward, right, left, "axis")
        for height in (forward, backward):
            fixed += canvas.text((left + right) / 2, height + 0.2, f"× {local:g}", "", "middle")
    fixed += "".join(chip(k, height, "", "cell") for k in range(3) for height in (forward, backward))
    ahead, back = [], []
    for k, rate in enumerate(rates):
        said = f"rate {rates[k - 1]:g} times {(first, second)[k - 1]:g} is {rate:g}" if k else "x moves at the rate 1"
        way = arrow(forward, places[k - 1] + 0.65, places[k] - 0.65, "k1") if k else ""
        ahead.append((way + chip(k, forward, f"{rate:g}", "cell lit"), f"Forward, with the values: {said}."))
    for k in (2, 1, 0):
        said = "the gradient of y is 1"
        if k < 2:
            said = f"gradient {gradients[k + 1]:g} times {(first, second)[k]:g} is {gradients[k]:g}"
        way = arrow(backward, places[k + 1] - 0.65, places[k] + 0.65, "k0") if k < 2 else ""
        picture = way + chip(k, backward, f"{gradients[k]:g}", "cell heat", 'style="--heat: 30%"')
        back.append((picture, f"Backward, once all values are there: {said}."))
    frames, so_far = [], ""
    for picture, words in ahead + back:
        so_far += picture
        frames.append((so_far, words))
    return Drawn(canvas, "A chain of two steps, forward and backward", fixed, "Step", frames, 1)


def modes() -> Drawn:
    """Forward and reverse mode: passes for a table of derivatives."""
    canvas = Canvas((0, 100), (0, 100), ("inputs, of 100 numbers in all", "passes"))
    fixed = canvas.axes(range(0, 101, 20), range(0, 101, 20))
    fixed += canvas.line((1, 99), (1, 99), "k1") + canvas.line((1, 99), (99, 1), "k0")
    fixed += canvas.text(70, 80, "forward", "k1", "end") + canvas.text(30, 80, "backward", "k0")
    frames = []
    for inputs in (1, 5, 10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 99):
        picture = canvas.dot(inputs, inputs, "k1") + canvas.dot(inputs, 100 - inputs, "k0")
        words = f"{inputs} in, {100 - inputs} out: {inputs} passes forward, or {100 - inputs} backward."
        frames.append((picture, words))
    return Drawn(canvas, "Passes forward and backward, by the number of inputs", fixed, "Inputs", frames, 12)


def _squared_error(z, t):
    return np.mean((F.sigmoid(z) - t) ** 2)


def _trained(x: np.ndarray, t: np.ndarray, loss: Callable) -> tuple[list[float], list[float]]:
    """The loss of the network of lesson 16, and the share of patients that are right, at each of its steps."""
    model = nn.Sequential(nn.Linear(13, 8, rng=0), nn.ReLU(), nn.Linear(8, 1, rng=1))
    optimizer = optim.SGD(model.parameters(), lr=0.5)
    losses, shares = [], []
    for _ in range(201):
        optimizer.zero_grad()
        z = model(tg.tensor(x))
        value = loss(z, t)
        losses.append(value.item())
        shares.append(float(np.mean((z.numpy().ravel() > 0) == (t.ravel() == 1))))
        value.backward()
        optimizer.step()
    return losses, shares


def nothing_learned() -> Drawn:
    """Lesson 16: the training run as somebody meets it."""
    patients, ill = tg.datasets.load_heart(return_X_y=True)
    losses, shares = _trained(patients, ill.astype(float), _squared_error)
    canvas = Canvas((0, 204), (0, 1), ("step", "the loss, and the share of the patients that are right"))
    fixed = canvas.axes(range(0, 201, 50), (0, 0.2, 0.4, 0.6, 0.8, 1))
    fixed += canvas.text(199, 0.59, "patients", "k0", "end") + canvas.text(199, 0.36, "loss", "k1", "end")
    frames = []
    for step in range(0, 201, 5):
        steps = range(step + 1)
        picture = canvas.line(steps, losses[: step + 1], "k1") + canvas.line(steps, shares[: step + 1], "k0")
        picture += canvas.dot(step, losses[step], "k1") + canvas.dot(step, shares[step], "k0")
        frames.append(
            (picture, f"After {step} steps: loss {losses[step]:.3f}, {shares[step]:.0%} of the patients right.")
        )
    return Drawn(canvas, "A training run in which nothing is learned", fixed, "Step", frames, 4)


def gone_wrong() -> Drawn:
    """Lesson 16: the share of patients that are right, as one mistake after the other is fixed."""
    patients, ill = tg.datasets.load_heart(return_X_y=True)
    column = ill[:, None].astype(float)
    scaled = (patients - patients.mean(axis=0)) / patients.std(axis=0)
    runs = {
        "As it was": (patients, ill.astype(float), _squared_error),
        "The shapes fit": (patients, column, _squared_error),
        "The measurements are scaled, too": (scaled, column, _squared_error),
        "And the loss is the cross-entropy": (scaled, column, F.binary_cross_entropy_with_logits),
    }
    canvas = Canvas((0, 204), (0.4, 1), ("step", "share of the patients that the network gets right"))
    fixed = canvas.axes(range(0, 201, 50), (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1))
    healthy = 1 - ill.mean()
    fixed += canvas.line((0, 200), (healthy, healthy), "ink thin dashed")
    fixed += canvas.text(199, healthy - 0.04, "saying “healthy” to all", "", "end")
    before, frames = "", []
    for name, (x, t, loss) in runs.items():
        _, shares = _trained(x, t, loss)
        frames.append(
            (before + canvas.line(range(201), shares, "k1"), f"{name}: after 200 steps, {shares[-1]:.0%} right.")
        )
        before += canvas.line(range(201), shares, "k0 thin")
    return Drawn(canvas, "A training run, as its mistakes are fixed", fixed, "Fixed", frames)


def wrong_entries() -> Drawn:
    """The home page: a gradient by hand, and the entries that the checker finds wrong."""
    rng = np.random.default_rng(1)
    x, w = rng.normal(size=(6, 4)), rng.normal(size=(4, 6))

    def loss(w):
        return np.sum(np.tanh(x @ w))

    slope = 1 - np.tanh(x @ w) ** 2
    slope[:, [1, 4]] = 1 - np.tanh(x @ w)[:, [1, 4]]
    report = tg.gradcheck(loss, w, gradient=x.T @ slope, raise_exception=False)
    wrong = abs(x.T @ slope - tg.grad(loss)(w)) > 1e-9
    canvas = Canvas((0, 6.4), (-0.2, 4.6))
    numbers = [[f"{value:.2f}" for value in row] for row in x.T @ slope]
    picture = canvas.cells(numbers, 0.2, 4.5, lambda i, j: "lit" if wrong[i, j] else "")
    why = report.findings[0].why
    return Drawn(canvas, f"A gradient in which two columns are wrong: {why}", picture)
