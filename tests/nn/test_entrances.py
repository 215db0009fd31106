"""Arguments that are not arrays: layers and functions take lists, and refuse what holds no numbers."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from inspect import isfunction, signature
from typing import Any

import numpy as np
import pandas as pd
import pytest

import tinygrad_lite as tg
from tests.nn.test_settings import CLASSES, IMAGES, LAYERS, LINES, NUMBERS, PROBABILITIES, ROWS, SEQUENCE, SPEECH
from tinygrad_lite import errors, nn
from tinygrad_lite.trees import leaves

F = nn.functional
r = np.random.default_rng(0)
VOLUMES, SIGNS = r.normal(size=(1, 2, 4, 4, 4)), np.where(ROWS > 0, 1.0, -1.0)
OF_ROWS = {
    name
    for name, function in vars(F).items()
    if isfunction(function) and [*signature(function).parameters][:1] in (["input"], ["logits"])
}
FUNCTIONS: dict[str, tuple[Any, ...]] = dict.fromkeys(sorted(OF_ROWS), (ROWS,)) | {
    **{f"{kind}{n}d": (x, 2) for n, x in enumerate((LINES, IMAGES, VOLUMES), 1) for kind in ("max_pool", "avg_pool")},
    **{
        f"adaptive_{kind}_pool{n}d": (x, 2)
        for n, x in enumerate((LINES, IMAGES, VOLUMES), 1)
        for kind in ("max", "avg")
    },
    **{f"lp_pool{n}d": (x, 2, 2) for n, x in enumerate((LINES, IMAGES, VOLUMES), 1)},
    **{f"dropout{n}d": (x, 0.5, True) for n, x in enumerate((LINES, IMAGES, VOLUMES), 1)},
    **{f"conv{n}d": (x, r.normal(size=(3, x.shape[1], *[2] * n)), np.ones(3)) for n, x in ((1, LINES), (2, IMAGES))},
    "conv3d": (VOLUMES, r.normal(size=(3, 2, 2, 2, 2))),
    "conv_transpose1d": (LINES, r.normal(size=(4, 3, 2))),
    "conv_transpose2d": (IMAGES, r.normal(size=(4, 3, 2, 2))),
    "conv_transpose3d": (VOLUMES, r.normal(size=(2, 3, 2, 2, 2))),
    "affine_grid": (r.normal(size=(2, 2, 3)), (2, 3, 4, 4)),
    "grid_sample": (IMAGES, r.uniform(-1, 1, size=(len(IMAGES), 3, 3, 2))),
    "max_unpool1d": (*F.max_pool1d(LINES, 2, return_indices=True), 2),
    "max_unpool2d": (*F.max_pool2d(IMAGES, 2, return_indices=True), 2),
    "max_unpool3d": (*F.max_pool3d(VOLUMES, 2, return_indices=True), 2),
    "fractional_max_pool2d": (IMAGES, 2, 3),
    "fractional_max_pool3d": (VOLUMES, 2, 2),
    "dropout": (ROWS, 0.5, True),
    "alpha_dropout": (ROWS, 0.5, True),
    "feature_alpha_dropout": (ROWS, 0.5, True),
    "linear": (ROWS, ROWS, np.ones(5)),
    "bilinear": (ROWS, ROWS, r.normal(size=(2, 4, 4)), np.ones(2)),
    "prelu": (ROWS, np.array([0.1])),
    "threshold": (ROWS, 0.1, 2.0),
    **dict.fromkeys(("cross_entropy", "nll_loss", "multi_margin_loss"), (ROWS, CLASSES)),
    **dict.fromkeys(("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss", "kl_div"), (ROWS, PROBABILITIES)),
    **dict.fromkeys(("soft_margin_loss", "hinge_embedding_loss"), (ROWS, SIGNS)),
    "multilabel_soft_margin_loss": (ROWS, (SIGNS + 1) / 2),
    "multilabel_margin_loss": (ROWS, np.tile(np.array([0, 1, -1, 0]), (5, 1))),
    "poisson_nll_loss": (ROWS, PROBABILITIES),
    "binary_cross_entropy": (PROBABILITIES, PROBABILITIES),
    "binary_cross_entropy_with_logits": (ROWS, PROBABILITIES),
    "gaussian_nll_loss": (ROWS, ROWS + 1, PROBABILITIES),
    "cosine_embedding_loss": (ROWS, PROBABILITIES, SIGNS[:, 0]),
    "margin_ranking_loss": (ROWS, PROBABILITIES, SIGNS),
    **dict.fromkeys(("triplet_margin_loss", "triplet_margin_with_distance_loss"), (ROWS, PROBABILITIES, SIGNS)),
    **dict.fromkeys(("cosine_similarity", "pairwise_distance"), (ROWS, PROBABILITIES)),
    "ctc_loss": SPEECH,
    "embedding": (NUMBERS, ROWS),
    "embedding_bag": (NUMBERS, ROWS),
    "one_hot": (CLASSES,),
    "layer_norm": (ROWS, (4,)),
    "rms_norm": (ROWS, (4,)),
    "group_norm": (ROWS, 2),
    "batch_norm": (ROWS, np.zeros(4), np.ones(4)),
    "instance_norm": (IMAGES,),
    "local_response_norm": (IMAGES, 2),
    "scaled_dot_product_attention": (SEQUENCE,) * 3,
    "pad": (IMAGES, (1, 1)),
    "interpolate": (IMAGES, (3, 3)),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle", "channel_shuffle", "unfold"), (IMAGES, 2)),
    "fold": (r.normal(size=(1, 8, 9)), (4, 4), 2),
}
OTHERS: dict[str, Callable[[Any], Any]] = {
    "a text": lambda x: "abc",
    "a dict": lambda x: {"a": 1.0},
    "a set": lambda x: {1.0, 2.0},
    "a generator": lambda x: (row for row in x),
    "a layer": lambda x: nn.ReLU(),
    "rows of different lengths": lambda x: [[1.0], [1.0, 2.0]],
    "nothing": lambda x: None,
}
NUMBERLESS: dict[str, Callable[[Any], Any]] = {
    "a number": lambda x: 1.5,
    "no axes": lambda x: np.array(1.5),
    "one axis": lambda x: np.ravel(x)[:3],
    "three axes more": lambda x: x[None, None, None],
    "no entries": lambda x: np.zeros(0),
    "booleans": lambda x: x > 0,
    "whole numbers": lambda x: (3 * x).astype(int),
    "half precision": lambda x: x.astype(np.float16),
    "objects": lambda x: x.astype(object),
    "texts": lambda x: x.astype(str),
    "complex numbers": lambda x: x + 0j,
}


def calls(arguments: tuple[Any, ...], changed: Callable[[Any], Any]) -> Iterator[tuple[Any, ...]]:
    """The arguments of calls with one of the arrays changed."""
    for i, x in enumerate(arguments):
        if isinstance(x, np.ndarray):
            yield (*arguments[:i], changed(x), *arguments[i + 1 :])


def layer(name: str) -> Any:
    """A layer in training that draws the same numbers as each other one of its kind."""
    function = getattr(nn, name)
    drawing = {"rng": 0} if "rng" in signature(function).parameters else {}
    return function(*LAYERS[name][0], **drawing)


CALLABLE: dict[str, tuple[Callable[[], Callable[..., Any]], tuple[Any, ...]]] = {
    **{f"F.{name}": (lambda name=name: getattr(F, name), given) for name, given in FUNCTIONS.items()},  # type: ignore[misc]
    **{f"nn.{name}": (lambda name=name: layer(name), inputs) for name, (_, inputs) in LAYERS.items()},  # type: ignore[misc]
}


def test_every_function_is_in_the_table() -> None:
    public = {name for name, x in vars(F).items() if isfunction(x) and not name.startswith("_")}
    assert public - {"multi_head_attention_forward"} == FUNCTIONS.keys()


@pytest.mark.whole
@pytest.mark.parametrize("name", CALLABLE)
def test_lists_are_arrays(name: str) -> None:
    make, arguments = CALLABLE[name]
    drawing = {"rng": 0} if name.startswith("F.") and "rng" in signature(make()).parameters else {}
    expected = leaves(make()(*arguments, **drawing))
    for listed in calls(arguments, lambda x: x.tolist()):
        for a, b in zip(leaves(make()(*listed, **drawing)), expected, strict=True):
            np.testing.assert_allclose(*(x.data if isinstance(x, tg.Tensor) else x for x in (a, b)), rtol=1e-12)


class Foreign:
    """An array whose dtype is not one of NumPy's, as PyTorch's tensors are."""

    dtype = "foreign.float64"

    def __init__(self, array: Any) -> None:
        self._array, self.shape, self.ndim = array, array.shape, array.ndim

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> Any:
        return np.array(self._array, dtype, copy=copy)


@pytest.mark.parametrize("loss", ["cross_entropy", "mse_loss", "binary_cross_entropy_with_logits"])
def test_targets_of_another_library_are_arrays(loss: str) -> None:
    x, target = tg.tensor(ROWS, requires_grad=True), FUNCTIONS[loss][1]
    for function in (getattr(F, loss), getattr(nn, {"cross_entropy": "CrossEntropyLoss"}.get(loss, "MSELoss"))()):
        found, expected = function(x, Foreign(target)), function(x, target)
        assert found.requires_grad
        assert found.item() == expected.item()


@pytest.mark.whole
@pytest.mark.parametrize("name", CALLABLE)
def test_what_holds_no_numbers_is_refused(name: str) -> None:
    make, arguments = CALLABLE[name]
    function = make()
    required = [x.default is x.empty for x in signature(getattr(function, "forward", function)).parameters.values()]
    for changed in OTHERS.values():
        for others in calls(arguments, changed):
            if required[next(i for i, x in enumerate(others) if x is not arguments[i])]:
                with pytest.raises(errors.TinygradError):
                    function(*others)


@pytest.mark.whole
@pytest.mark.parametrize("name", CALLABLE)
def test_arrays_with_rules_of_their_own_are_refused(name: str) -> None:
    make, arguments = CALLABLE[name]
    function = make()
    for changed in (np.ma.masked_array, lambda x: x.view(np.recarray)):
        for others in calls(arguments, changed):
            with pytest.raises(errors.UsageError, match="a meaning of its own"):
                function(*others)


@pytest.mark.whole
@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", CALLABLE)
def test_other_arrays_are_taken_or_refused_with_an_error_of_ours(name: str) -> None:
    make, arguments = CALLABLE[name]
    function = make()
    for changed in NUMBERLESS.values():
        for others in calls(arguments, changed):
            with suppress(errors.TinygradError):
                function(*others)


def test_the_message_says_what_was_expected_and_what_came() -> None:
    with pytest.raises(errors.UsageError, match=r"softplus: input is a tensor, an array or a list .* got a str"):
        F.softplus("abc")
    with pytest.raises(errors.UsageError, match=r"Linear\(2, 3\): input is .* got None, .* without `return`"):
        nn.Linear(2, 3)(None)
    with pytest.raises(errors.UsageError, match=r"glu: input is .* got a generator: write np.stack\(list\(x\)\)"):
        F.glu(x for x in ROWS)


@pytest.mark.whole
@pytest.mark.parametrize("name", FUNCTIONS)
def test_a_missing_argument_is_one_of_the_function_that_was_called(name: str) -> None:
    with pytest.raises(TypeError, match=rf"^{name}\(\) missing ") as raised:
        getattr(F, name)()
    assert not raised.value.__cause__


def test_an_error_of_the_users_own_code_stays_as_it_is() -> None:
    class Broken(nn.Module):
        def forward(self, x: Any) -> Any:
            return x + {}

    def distance(a: Any, b: Any) -> Any:
        raise ValueError("mine")

    for call in (lambda: Broken()(1.0), lambda: nn.Sequential(Broken())(1.0)):
        with pytest.raises(TypeError, match="unsupported operand") as raised:
            call()
        assert not isinstance(raised.value, errors.TinygradError)
    with pytest.raises(ValueError, match=r"^mine$"):
        F.triplet_margin_with_distance_loss(ROWS, ROWS, ROWS, distance_function=distance)


def test_a_list_of_tensors_says_how_to_keep_their_history() -> None:
    rows = [tg.tensor(row, requires_grad=True) for row in ROWS]
    with pytest.raises(errors.UsageError, match=r"np\.stack"):
        F.leaky_relu(rows)


def test_a_frame_is_asked_for_its_array() -> None:
    with pytest.raises(errors.UsageError, match=r"got a DataFrame: write x.to_numpy\(\)"):
        nn.Linear(4, 1)(pd.DataFrame(ROWS))


def test_what_a_recurrent_layer_returns_is_no_tensor() -> None:
    pair = nn.LSTM(4, 4, rng=0)(ROWS)
    message = r"one tensor; got a tuple of 2, such as an LSTM returns"
    for call in (F.relu, nn.Linear(4, 1), nn.Sequential(nn.Linear(4, 1)), lambda x: F.cross_entropy(x, CLASSES)):
        for values in (pair, tuple(x.detach() if isinstance(x, tg.Tensor) else x for x in pair)):
            with pytest.raises(errors.UsageError, match=message):
                call(values)
