"""Arguments for calls of NumPy's functions, drawn by the names of their parameters.

`ARGUMENTS` says what a parameter of a name may be given; what it says of a function comes first. A parameter that has
no default and no entry there is an array. Many a draw is one that NumPy refuses: those who draw try again.
"""

import inspect
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import Any

import numpy as np

from benchmarks.random_programs.inputs import odd_numbers
from tinygrad_lite.foundation.signatures import signature_of


@dataclass(frozen=True)
class Place:
    """An earlier value of the program, as an argument."""

    number: int


@dataclass
class Draw:
    """What arguments are drawn from: the values so far, and the first array that the call was given."""

    random: Random
    values: list[Any]
    first: Any = None

    def array(self, fits: Callable[[Any], bool] = lambda x: True) -> Place:
        """The place of a value, which fits if any of a few does; the latest is the likeliest."""
        place = 0
        for _ in range(6):
            last = len(self.values) - 1
            place = last if self.random.random() < 0.4 else self.random.randint(0, last)
            if fits(self.values[place]):
                break
        if self.first is None:
            self.first = np.asarray(self.values[place])
        return Place(place)

    def beside(self) -> Any:
        """A value that broadcasts against the first; or a number."""
        if self.first is not None and self.random.random() < 0.15:
            return self.random.choice([2, 0.5, -1.5, 0, 3.0, True])
        return self.array(self.broadcasts)

    def broadcasts(self, x: Any) -> bool:
        try:
            np.broadcast_shapes(np.shape(x), self.first.shape)
        except (ValueError, AttributeError):
            return self.first is None
        return True

    @property
    def x(self) -> Any:
        return np.zeros(()) if self.first is None else self.first

    def one_of(self, *choices: Any) -> Any:
        return self.random.choice(choices)

    def axis(self) -> int:
        return self.random.randint(-self.x.ndim, max(self.x.ndim - 1, 0))

    def axes(self) -> Any:
        count = self.random.randint(0, self.x.ndim)
        return self.one_of(None, self.axis(), self.axis(), tuple(self.random.sample(range(self.x.ndim), count)))

    def size(self, axis: int = 0) -> int:
        return int(self.x.shape[axis]) if self.x.ndim else 1

    def places(self) -> Any:
        """Indices of entries along an axis."""
        size = max(self.size(self.random.randrange(self.x.ndim)) if self.x.ndim else 1, 1)
        drawn = [self.random.randint(-size, size - 1) for _ in range(self.random.randint(0, 4))]
        return self.one_of(np.array(drawn, int), drawn, self.random.randint(-size, size - 1), np.array([drawn, drawn]))

    def numbers(self, shape: Any) -> Any:
        return odd_numbers(self.random, shape)[()]

    def positive(self, shape: Any) -> Any:
        return np.array([self.random.randint(1, 5) / 2 for _ in range(int(np.prod(shape)))]).reshape(shape)

    def mask(self, shape: Any) -> Any:
        return np.array([self.random.random() < 0.7 for _ in range(int(np.prod(shape)))], bool).reshape(shape)

    def shape(self) -> Any:
        """A shape with as many entries as the first array has."""
        size = self.x.size
        return self.one_of(-1, (size,), (-1, 1), (1, size), self.x.shape[::-1], (2, -1), (*self.x.T.shape, 1))

    def index(self) -> Any:
        """What stands between brackets."""
        parts = [self.index_part(size) for size in self.x.shape]
        shown = tuple(parts[: self.random.randint(0, len(parts))])
        whole = self.mask(self.x.shape)
        return self.one_of(shown, shown, shown, (..., *shown[:1]), (None, *shown), whole, self.places())

    def index_part(self, size: int) -> Any:
        start, stop = self.random.randint(-size - 1, size), self.random.randint(-size - 1, size + 1)
        index = self.random.randint(-size, max(size - 1, 0))
        cut = slice(start, stop, self.one_of(None, 1, 2, -1, -2))
        return self.one_of(index, slice(None), cut, cut, np.array([index, 0, index]), [0, index], self.mask((size,)))

    def several(self) -> Any:
        """A sequence of values, most of them of the first one's shape."""
        first = self.array()
        others = [self.array(lambda x: np.shape(x) == self.x.shape) for _ in range(self.random.randint(0, 2))]
        return self.one_of(list, tuple)([first, *others])


Argument = Callable[[Draw], Any]


def choices(*values: Any) -> Argument:
    """An argument that is one of these."""
    return lambda draw: draw.random.choice(values)


TRUTH = choices(True, False)
NUMBER = choices(0.0, 1.0, -0.5, 2.5, 7, np.nan, np.inf)
DTYPE = choices(*map(np.dtype, ("f8", "f8", "f8", "f4", "f2", "g")))
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "square": lambda x: x**2,
    "negated": lambda x: -x,
    "total": lambda x: np.sum(x),
    "doubled": lambda x, *_: x * 2,
    "sum_along": lambda x, axis: np.sum(x, axis),
}
"""Functions for those of NumPy's that take one, by the name under which a program shows them."""
ORDERS = choices(None, 1, 2, np.inf, -np.inf, 0, -1, -2, 3, 0.5, "fro", "nuc")

ORDER = choices(0, 1, 2, 0.5, 2.5, np.array([0.5, 1.0, 3.0]))
OF_ORDERS = (
    *("gammainc", "gammaincc", "gammaincinv", "gammainccinv", "chdtr", "chdtrc"),
    *("jv", "yv", "yn", "iv", "kv", "kn", "ive", "kve"),
)
OF_PAIRS = ("betainc", "betaincc", "betaincinv", "betainccinv", "fdtr", "fdtrc", "hyp1f1")

ARGUMENTS: dict[str, Argument] = {
    "axis": Draw.axes,
    **dict.fromkeys(("axis1", "axis2", "axisa", "axisb", "axisc", "source", "destination", "start"), Draw.axis),
    **dict.fromkeys(
        (
            *("keepdims", "returned", "rowvar", "bias", "include_initial", "endpoint", "retstep", "increasing"),
            *("hermitian", "full_matrices", "compute_uv", "upper", "sparse", "equal_nan", "subok", "stable"),
            *("return_index", "return_inverse", "return_counts", "assume_unique", "invert"),
            *("sorted", "density", "wrap"),
        ),
        TRUTH,
    ),
    "dtype": DTYPE,
    "copy": choices(True),  # without one, np.nan_to_num writes into its argument
    "where": lambda draw: draw.one_of(True, draw.mask(draw.x.shape), draw.mask(draw.x.shape[-1:])),
    "initial": NUMBER,
    "fill_value": NUMBER,
    **dict.fromkeys(("nan", "posinf", "neginf", "left", "right"), NUMBER),
    "ddof": choices(0, 1, 1, 0.5, 2),
    "correction": choices(0, 1, 0.5),
    "n": choices(0, 1, 1, 2, 3, -1),
    **dict.fromkeys(("k", "offset", "shift"), choices(0, 1, -1, 2)),
    "decimals": choices(0, 1, 2, -1),
    "N": choices(None, 0, 2, 3),
    "num": choices(0, 1, 2, 5),
    "base": choices(10.0, 2.0, 0.5),
    "indices": Draw.places,
    "index": Draw.index,
    "obj": Draw.places,
    "q": choices(0.3, 0.5, 0.0, 1.0, [0.1, 0.9], np.array([[0.25, 0.5], [1.0, 0.0]]), 1, 0.625),
    "kth": choices(0, 1, [0, 1], -1),
    "mode": choices("raise", "wrap", "clip"),
    "method": choices(
        *("linear", "lower", "higher", "midpoint", "nearest", "hazen", "weibull", "median_unbiased"),
        *("normal_unbiased", "inverted_cdf", "averaged_inverted_cdf", "closest_observation"),
        "interpolated_inverted_cdf",
    ),
    "order": choices("C", "C", "F", "A", "K"),
    "kind": choices(None, "quicksort", "stable", "heapsort"),
    "side": choices("left", "right"),
    "casting": choices("same_kind", "unsafe", "safe"),
    "UPLO": choices("L", "U"),
    **dict.fromkeys(("rcond", "rtol"), choices(None, 1e-10, 0.1)),
    "tol": choices(None, 1e-8),
    **dict.fromkeys(("ord", "p"), ORDERS),
    "repeats": lambda draw: draw.one_of(0, 1, 2, [draw.random.randint(0, 2) for _ in range(draw.size())]),
    "reps": choices(1, 2, (2, 1), (1, 2, 1), 0),
    "shape": Draw.shape,
    "new_shape": choices((2, 2), 5, (0,), (3, 1)),
    **dict.fromkeys(("prepend", "append", "to_end", "to_begin"), lambda draw: draw.one_of(draw.array(), 1.0, 0)),
    "period": choices(2.0, 360.0, None),
    "discont": choices(None, 4.0),
    "edge_order": choices(1, 2),
    "dx": choices(1.0, 0.5),
    "weights": lambda draw: draw.one_of(draw.positive(draw.x.shape), draw.positive(draw.x.shape[-1:]), draw.array()),
    "aweights": lambda draw: draw.positive(draw.x.shape[-1:]),
    "fweights": lambda draw: np.ceil(draw.positive(draw.x.shape[-1:])).astype(int),
    "pad_width": choices(0, 1, (1, 2), ((0, 1),), ((1, 0), (0, 2))),
    "condition": lambda draw: draw.mask(draw.x.shape),
    "indices_or_sections": choices(1, 2, 3, [1], [1, 2], []),
    "trim": choices("fb", "f", "b"),
    "indexing": choices("xy", "ij"),
    "deg": TRUTH,
    "ind": choices(1, 2),
    "bins": choices(3, [0.0, 1.0, 2.0]),
    "minlength": choices(0, 5),
    "optimize": choices(True, False, "greedy"),
    **dict.fromkeys(("a_min", "a_max", "min", "max"), lambda draw: draw.one_of(None, 0.5, -1, draw.beside())),
    **dict.fromkeys(("arrays", "tup", "choices", "arrays_and_dtypes"), Draw.several),
    "out": lambda draw: np.empty(draw.x.shape),
    "signature": choices(None),
    "device": choices(None),
    "mean": lambda draw: draw.numbers((*draw.x.shape[:-1], 1)),
    "tau": choices(1.0),
}
SQUARE = {"a": lambda draw: draw.array(lambda x: np.ndim(x) > 1 and np.shape(x)[-1] == np.shape(x)[-2])}
REDUCTION = {"axis": Draw.axes, "where": ARGUMENTS["where"], "initial": NUMBER, "keepdims": TRUTH}
OF_FUNCTION: dict[str, dict[str, Argument]] = {
    **{f"np.linalg.{name}": SQUARE for name in ("inv", "det", "slogdet", "cholesky", "eigh", "eigvalsh", "solve")},
    "np.linalg.matrix_power": {**SQUARE, "n": choices(-2, -1, 0, 1, 2, 3, 5)},
    "np.linalg.qr": {"mode": choices("reduced", "complete", "r")},
    "np.linalg.multi_dot": {"arrays": lambda draw: [draw.array(lambda x: np.ndim(x) == 2) for _ in range(3)]},
    **{f"np.{name}.reduce": REDUCTION for name in ("add", "multiply", "maximum", "minimum", "logaddexp")},
    **{f"np.{name}": {"mode": choices("full", "same", "valid")} for name in ("convolve", "correlate")},
    "np.polyfit": {"deg": choices(0, 1, 2), "w": lambda draw: draw.positive(draw.x.shape)},
    "np.polyder": {"m": choices(0, 1, 2)},
    "np.polyint": {"m": choices(1, 2), "k": choices(None, 1.0)},
    **{f"np.{name}": {"q": choices(30, 50.0, [10, 90], 100)} for name in ("percentile", "nanpercentile")},
    "np.quantile": {"weights": lambda draw: draw.positive(draw.x.shape)},
    "np.transpose": {
        "axes": lambda draw: draw.one_of(None, tuple(draw.random.sample(range(draw.x.ndim), draw.x.ndim)))
    },
    "np.tensordot": {"axes": lambda draw: draw.one_of(0, 1, 2, ([0], [0]), ([-1], [0]), (1, 0))},
    "np.linalg.tensordot": {"axes": lambda draw: draw.one_of(0, 1, 2, ([0], [0]))},
    "np.rot90": {"axes": choices((0, 1), (1, 0), (0, 2)), "k": choices(0, 1, 2, 3, -1)},
    **{f"np.fft.{name}": {"axes": Draw.axes} for name in ("fftshift", "ifftshift")},
    "np.take_along_axis": {
        "indices": lambda draw: np.zeros(draw.x.shape, int) + draw.one_of(0, -1),
        "axis": lambda draw: draw.one_of(None, draw.axis()),
    },
    "np.select": {
        "condlist": lambda draw: [draw.mask(draw.x.shape), draw.mask(draw.x.shape)],
        "choicelist": lambda draw: [draw.beside(), draw.beside()],
        "default": lambda draw: draw.one_of(0, 1.5, draw.beside()),
    },
    "np.choose": {"a": lambda draw: draw.one_of(np.array([0, 1, 0]), [[1], [0]], 0, np.array([0, 5, -1]))},
    "np.piecewise": {
        "condlist": lambda draw: [draw.mask(draw.x.shape)] * draw.one_of(1, 1, 2),
        "funclist": lambda draw: [draw.one_of("square", "negated", 7.0) for _ in range(draw.one_of(1, 2, 3))],
    },
    "np.apply_along_axis": {"func1d": choices("total", "square"), "axis": Draw.axis},
    "np.apply_over_axes": {"func": choices("sum_along"), "axes": lambda draw: draw.one_of(draw.axis(), [0])},
    "np.einsum": {
        "operands": lambda draw: draw.one_of(
            *[[text, draw.array()] for text in ("ii->i", "ij->ji", "ij->", "...i->...", "ii", "i,", "ijk->kj")],
            *[
                [text, draw.array(), draw.array()]
                for text in ("ij,jk->ik", "i,i", "ij,j", "ij,ij->i", "...,...", "i,j")
            ],
            [draw.array(), [0, 1]],
        ),
    },
    "np.bincount": {
        "x": lambda draw: np.array([draw.random.randint(0, 4) for _ in range(3)]),
        "weights": lambda draw: draw.array(lambda x: np.shape(x) == (3,)),
    },
    "np.interp": {"xp": choices(np.array([-1.0, 0.5, 2.0]))},
    "np.pad": {
        "mode": choices(
            *(
                "constant",
                "edge",
                "reflect",
                "symmetric",
                "wrap",
                "linear_ramp",
                "maximum",
                "mean",
                "median",
                "minimum",
            ),
        )
    },
    "np.broadcast_to": {"shape": lambda draw: draw.one_of(draw.x.shape, (2, *draw.x.shape), 3, (4, 3))},
    "np.moveaxis": {"source": Draw.axis, "destination": Draw.axis},
    "np.roll": {"shift": choices(0, 1, -2, 7, (1, 2)), "axis": Draw.axes},
    "np.expand_dims": {"axis": lambda draw: draw.one_of(0, -1, 1, (0, 1), (0, -1))},
    "np.gradient": {"varargs": lambda draw: draw.one_of([], [], [0.5], [np.arange(draw.size()) * 0.7])},
    "np.lexsort": {"keys": Draw.array},
    "np.digitize": {"bins": choices(np.array([0.0, 1.0])), "right": TRUTH},
    "np.searchsorted": {"a": choices(np.array([0.0, 1.0, 2.0])), "sorter": choices(None)},
    "np.size": {"axis": Draw.axis},
    "np.unravel_index": {"indices": choices(0), "shape": choices((2, 2))},
    "np.can_cast": {"from_": choices(np.dtype("f4")), "to": choices(np.dtype("f8"))},
    "np.histogram": {"range": choices(None, (0.0, 2.0))},
    **{f"np.{name}": {"shape": choices(None, (2,))} for name in ("zeros_like", "ones_like", "full_like", "empty_like")},
    "np.cross": {"axis": choices(None, -1, 0)},
    "np.ldexp": {"x2": choices(np.array(2), 3, -1)},
    "np.angle": {"deg": TRUTH},
    **{f"scipy.special.{name}": {"x1": ORDER} for name in (*OF_ORDERS, "hyp0f1", "zeta")},
    **{f"scipy.special.{name}": {"x1": ORDER, "x2": ORDER} for name in OF_PAIRS},
    "scipy.special.hyp2f1": {"x1": ORDER, "x2": ORDER, "x3": ORDER},
}


def arguments(draw: Draw, path: str, function: Any) -> tuple[list[Any], dict[str, Any]]:
    """Positional and keyword arguments for a function of NumPy's that is called by this path."""
    positional: list[Any] = []
    keywords: dict[str, Any] = {}
    own = OF_FUNCTION.get(path, {})
    by_name = False  # once one is left out or named, so are those behind it
    for parameter in parameters(path, function):
        name, required = parameter.name, parameter.default is parameter.empty
        argument = own.get(name) or (None if required else ARGUMENTS.get(name))
        if parameter.kind is parameter.VAR_POSITIONAL:
            positional += (argument or Draw.several)(draw)
            by_name = True
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            continue
        if not required and (
            (argument is None and name not in "xy") or draw.random.random() < left_out(function, name)
        ):
            by_name = True
            continue
        if argument is None:
            argument = ARGUMENTS[name] if name in SEQUENCES else Draw.beside if draw.first is not None else Draw.array
        value = argument(draw)
        if parameter.kind is parameter.KEYWORD_ONLY or (by_name and parameter.kind is not parameter.POSITIONAL_ONLY):
            keywords[name] = value
        elif not by_name:
            named = parameter.kind is parameter.POSITIONAL_OR_KEYWORD and draw.random.random() < 0.05
            by_name = by_name or (named and name not in SEQUENCES)
            if by_name:
                keywords[name] = value
            else:
                positional.append(value)
    return positional, keywords


SEQUENCES = {
    "dtype",
    *("arrays", "tup", "choices", "indices", "shape", "source", "destination", "n", "axis", "shift", "repeats", "reps"),
    *("pad_width", "indices_or_sections", "kth", "q", "axis1", "axis2", "new_shape", "obj", "fill_value", "condition"),
    *("arrays_and_dtypes", "num", "axes"),
}
"""Parameters without a default that are not arrays."""
OPTIONAL = {"axis": 0.4, "x": 0.0, "y": 0.5, "mode": 0.5, "ord": 0.4, "p": 0.4, "weights": 0.6, "out": 0.999}
"""How often an optional parameter is left out, where it is not three times out of four."""


def left_out(function: Any, name: str) -> float:
    """How often an optional parameter is left out."""
    return 0.97 if isinstance(function, np.ufunc) else OPTIONAL.get(name, 0.75)


def parameters(path: str, function: Any) -> list[inspect.Parameter]:
    """The parameters of a function; of one written in C before NumPy 2.4, its arrays."""
    if isinstance(function, np.ufunc):
        return [inspect.Parameter(f"x{i + 1}", inspect.Parameter.POSITIONAL_ONLY) for i in range(function.nin)] + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None)
            for name in ("dtype", "casting", "order")
        ]
    if path.endswith((".reduce", ".accumulate")):
        names = ("axis", "dtype", "keepdims", "initial", "where")[: None if path.endswith("reduce") else 2]
        return [inspect.Parameter("array", inspect.Parameter.POSITIONAL_ONLY)] + [
            inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None) for name in names
        ]
    return list(signature_of(function).parameters.values())
