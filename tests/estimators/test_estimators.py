"""What the estimators do with modules, losses, weights and labels, and inside scikit-learn's own tools."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_iris, make_multilabel_classification, make_regression
from sklearn.exceptions import DataConversionWarning, NotFittedError
from sklearn.inspection import permutation_importance
from sklearn.model_selection import GridSearchCV, cross_val_score, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import tinygrad_lite as tg
from tests.estimators.modules import Dropped, LinearCode, Tanh
from tinygrad_lite import nn
from tinygrad_lite.errors import AnomalyError, InputError, ShapeError, TinygradError, UsageError
from tinygrad_lite.estimators import Autoencoder, Classifier, Perceptron, Regressor, Transformer
from tinygrad_lite.nn import functional

X, y = load_iris(return_X_y=True)
X = (X - X.mean(axis=0)) / X.std(axis=0)
NAMES = np.array(["setosa", "versicolor", "virginica"])[y]
TWO = y < 2
XR, YR = make_regression(120, 5, n_informative=3, random_state=0)
YR = YR / YR.std()
DATES = pd.date_range("2020-01-01", periods=9)


def quick(**settings: Any) -> Classifier:
    return Classifier(**{"epochs": 60, "lr": 0.02, "module__hidden": 10, "random_state": 0, **settings})


def probabilistic(n_features_in: int, n_outputs: int) -> nn.Module:
    last = nn.Sigmoid() if n_outputs == 1 else nn.Softmax(axis=1)
    return nn.Sequential(nn.Linear(n_features_in, n_outputs), last)


def flat(n_features_in: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_features_in, 1), nn.Flatten(0))


def log_probabilistic(n_features_in: int, n_outputs: int) -> nn.Module:
    return nn.Sequential(nn.Linear(n_features_in, n_outputs), nn.LogSoftmax(axis=1))


def brier(outputs: Any, targets: Any) -> Any:
    return (outputs - targets) ** 2


def log_loss_of_rows(outputs: Any, targets: Any) -> Any:
    return -np.log(outputs[np.arange(len(targets)), targets])


class Total(nn.Module):
    def forward(self, x: Any) -> Any:
        return np.sum(x)


class Wider(Autoencoder):
    def forward(self, x: Any) -> Any:
        return np.concatenate([super().forward(x), x], axis=1)


LOSSES: list[tuple[str, dict[str, Any]]] = [
    ("both", {}),
    ("both", {"module": probabilistic, "outputs": "probabilities"}),
    ("both", {"module": log_probabilistic, "outputs": "log_probabilities"}),
    ("both", {"module": log_probabilistic, "loss": functional.nll_loss}),
    ("both", {"loss": functional.cross_entropy}),
    ("both", {"loss": nn.CrossEntropyLoss(label_smoothing=0.05)}),
    ("two", {"loss": nn.BCEWithLogitsLoss()}),
    ("two", {"loss": functional.binary_cross_entropy, "module": probabilistic}),
    ("two", {"module": flat}),
    ("two", {"module": nn.Linear(4, 2, rng=0)}),
    ("two", {"loss": brier, "module": probabilistic, "outputs": "probabilities"}),
    ("three", {"loss": log_loss_of_rows, "module": probabilistic, "outputs": "probabilities"}),
]


@pytest.mark.long
@pytest.mark.parametrize("is_weighted", [False, True])
@pytest.mark.parametrize(("classes", "settings"), LOSSES)
def test_every_kind_of_loss_and_outputs(classes: str, settings: dict[str, Any], is_weighted: bool) -> None:
    for rows in {"two": [TWO], "three": [y >= 0], "both": [TWO, y >= 0]}[classes]:
        model = Classifier(**{"epochs": 60, "lr": 0.1, "random_state": 0, **settings})
        model.fit(X[rows], NAMES[rows], sample_weight=np.linspace(0.5, 2, sum(rows)) if is_weighted else None)
        assert model.score(X[rows], NAMES[rows]) > 0.9
        probabilities = model.predict_proba(X[rows])
        np.testing.assert_allclose(probabilities.sum(axis=1), 1)
        np.testing.assert_array_equal(model.classes_[probabilities.argmax(axis=1)], model.predict(X[rows]))
        np.testing.assert_allclose(np.exp(model.predict_log_proba(X[rows])), probabilities)


def test_the_loss_is_the_mean_over_rows_whatever_the_weights_add_up_to() -> None:
    for loss in (
        functional.mse_loss,
        nn.HuberLoss(),
        lambda a, b: abs(a - b),
        lambda a, b: np.sum((a - b) ** 2, axis=1),
    ):
        weighted, plain = (Regressor(nn.Linear(5, 2, rng=0), loss=loss, epochs=3, random_state=0) for _ in range(2))
        targets = np.stack([YR, XR[:, 0]], axis=1)
        plain.fit(XR, targets)
        weighted.fit(XR, targets, sample_weight=np.full(len(XR), 7.0))
        np.testing.assert_allclose(weighted.loss_curve_, plain.loss_curve_)
        np.testing.assert_allclose(weighted.predict(XR), plain.predict(XR))


def test_class_weights_count_as_weights_of_rows() -> None:
    rare = np.r_[0:50, 50:58]
    balanced = Classifier(nn.Linear(4, 1, rng=0), class_weight="balanced", epochs=10, random_state=0).fit(
        X[rare], y[rare]
    )
    by_hand = Classifier(nn.Linear(4, 1, rng=0), epochs=10, random_state=0)
    by_hand.fit(X[rare], y[rare], sample_weight=np.where(y[rare] == 0, 58 / (2 * 50), 58 / (2 * 8)))
    np.testing.assert_allclose(balanced.predict_proba(X), by_hand.predict_proba(X))


def test_rows_of_weight_zero_do_not_count() -> None:
    weights = np.where(y == 2, 0.0, 1.0)
    model = quick().fit(X, y, sample_weight=weights)
    assert model.classes_.tolist() == [0, 1]
    with pytest.raises(InputError, match="one class"):
        quick().fit(X, y, sample_weight=np.where(y == 2, 1.0, 0.0))


def test_labels_that_may_all_be_there() -> None:
    inputs, labels = make_multilabel_classification(200, 10, n_classes=4, random_state=0)
    model = Classifier(epochs=60, random_state=0, early_stopping=True).fit(inputs, labels)
    assert model.predict_proba(inputs).shape == (200, 4)
    assert model.predict(inputs).shape == labels.shape
    assert np.mean(model.predict(inputs) == labels) > 0.85
    np.testing.assert_array_equal(
        Classifier(epochs=60, random_state=0).fit(inputs, sparse.csr_array(labels)).classes_, range(4)
    )


def test_several_targets() -> None:
    targets = np.stack([YR, XR[:, 0]], axis=1)
    model = Regressor(epochs=100, random_state=0).fit(XR, targets)
    assert model.predict(XR).shape == targets.shape
    assert model.score(XR, targets) > 0.9
    with pytest.raises(ShapeError, match="learns targets"):
        model.partial_fit(XR, YR)


def test_a_column_of_targets_is_flattened_with_a_warning() -> None:
    for model, inputs, targets in ((quick(epochs=2), X, y), (Regressor(epochs=2), XR, YR)):
        with pytest.warns(DataConversionWarning, match="1d array was expected"):
            model.fit(inputs, targets[:, None])
        assert model.predict(inputs).shape == targets.shape


@pytest.mark.parametrize("made", [Perceptron, Tanh, Dropped, lambda n, k: nn.Sequential(nn.Linear(n, k), nn.Dropout())])
def test_a_seed_determines_everything(made: Any) -> None:
    def curve(seed: int) -> list[float]:
        return Classifier(made, epochs=3, batch_size=40, early_stopping=True, random_state=seed).fit(X, y).loss_curve_

    assert curve(0) == curve(0) != curve(1)


def test_a_module_is_copied_and_never_changed() -> None:
    template = nn.Sequential(
        nn.Linear(4, 8, rng=0), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(rng=0), nn.Linear(8, 3, rng=1)
    )
    before = copy.deepcopy(template.state_dict())
    model = Classifier(template, epochs=20, random_state=0).fit(X, y)
    for name, value in template.state_dict().items():
        np.testing.assert_array_equal(value, before[name])
    assert template.training
    assert not model.module_.training
    np.testing.assert_array_equal(model.predict_proba(X), model.predict_proba(X))
    first = model.loss_curve_
    assert clone(model).fit(X, y).loss_curve_ == first


def test_parameters_of_the_module_and_of_the_optimizer() -> None:
    model = Classifier(module__hidden=8, optimizer="SGD", optimizer__momentum=0.9, lr=0.1, epochs=20, random_state=0)
    assert model.get_params()["module__hidden"] == 8
    assert "module__hidden=8" in repr(model)
    assert "hidden" in model._repr_html_()
    copied = clone(model).set_params(module__hidden=(6, 5), optimizer=tg.optim.SGD)
    assert model.module__hidden == 8
    copied.fit(X, y)
    assert [w.shape for w in copied.module_.parameters()][::2] == [(6, 4), (5, 6), (3, 5)]
    assert copied.optimizer_.param_groups[0]["momentum"] == 0.9
    for wrong in ({"module__hiden": 3}, {"optimizer__moment": 3}):
        with pytest.raises(InputError, match="takes no such parameter; it takes"):
            copied.set_params(**wrong)
        with pytest.raises(InputError, match="takes no such parameter; it takes"):
            Classifier(optimizer="SGD", **wrong).fit(X, y)
    with pytest.raises(InputError, match="exists already"):
        Classifier(nn.Linear(4, 3), module__hidden=3).fit(X, y)
    with pytest.raises(ValueError, match="Invalid parameter 'hidden'"):
        model.set_params(hidden=3)
    with pytest.raises(UsageError, match="no parameter 'hidden'"):
        Classifier(hidden=3)


def test_the_module_computes_in_the_dtype_of_the_rows_if_it_can_be_asked() -> None:
    assert quick(epochs=2).fit(X.astype(np.float32), y).predict_proba(X).dtype == np.float32
    single = Classifier(nn.Linear(4, 3, dtype=np.float32), epochs=2).fit(X, y, sample_weight=np.ones(len(y)))
    assert single.predict_proba(X).dtype == np.float32
    assert {w.dtype for w in single.module_.parameters()} == {np.dtype(np.float32)}


def test_sparse_rows_and_frames_give_the_same() -> None:
    plain = quick().fit(X, y)
    for rows in (sparse.csr_array(X), sparse.coo_matrix(X), pd.DataFrame(X, columns=list("abcd"))):
        model = quick().fit(rows, y)
        np.testing.assert_array_equal(model.predict_proba(rows), plain.predict_proba(X))
    assert model.feature_names_in_.tolist() == list("abcd")
    with pytest.raises(ValueError, match="feature names should match"):
        model.predict(rows.rename(columns={"a": "e"}))
    code = Transformer(LinearCode, epochs=3, random_state=0).set_output(transform="pandas")
    assert code.fit(sparse.csr_array(X)).score(sparse.csr_array(X)) == code.fit(X).score(X)
    assert list(code.fit_transform(rows)) == ["transformer0", "transformer1"]


def test_an_autoencoder_finds_the_plane_of_most_variance() -> None:
    model = Transformer(LinearCode, lr=0.03, epochs=400, random_state=0).fit(X)
    variances = np.linalg.svd(X, compute_uv=False) ** 2
    assert model.score(X) == pytest.approx(variances[:2].sum() / variances.sum(), abs=1e-3)
    code = model.transform(X)
    assert code.shape == (150, 2)
    np.testing.assert_allclose(np.mean((model.inverse_transform(code) - X) ** 2), model.loss_curve_[-1], rtol=0.01)
    assert isinstance(Transformer(epochs=1).fit(X).module_, Autoencoder)


def test_early_stopping_brings_back_the_best_weights() -> None:
    noise = np.random.default_rng(0).integers(0, 2, len(X))
    model = Classifier(early_stopping=True, patience=3, validation_fraction=0.3, epochs=500, lr=0.05, random_state=0)
    model.fit(X, noise)
    assert model.n_iter_ < 500
    assert model.history_["validation_loss"].index(min(model.history_["validation_loss"])) == model.n_iter_ - 4
    for wrong in (0, 1, 2, 2.0, -0.1, np.nan, "0.1", None):
        with pytest.raises((InputError, UsageError), match="validation_fraction must"):
            model.set_params(validation_fraction=wrong).fit(X, noise)
        with pytest.raises((InputError, UsageError), match="validation_fraction must"):  # a grid may say it by mistake
            Classifier(validation_fraction=wrong).fit(X, noise)


@pytest.mark.parametrize("compile", [False, "numpy"])
def test_partial_fit_goes_on_with_the_optimizer(compile: Any) -> None:
    model = quick(compile=compile, epochs=1, lr=0.05)
    for k in range(30):
        rows = slice(0, 140 + k % 2)
        weights = np.ones(140 + k % 2) if k % 3 == 0 else None
        model.partial_fit(X[rows], NAMES[rows], classes=np.unique(NAMES), sample_weight=weights)
        if k % 10 == 0:
            model = pickle.loads(pickle.dumps(model))
    assert model.optimizer_.steps == model.n_iter_ == len(model.loss_curve_) == 30
    assert model.score(X, NAMES) > 0.9
    with pytest.raises(InputError, match="not among"):
        model.partial_fit(X, np.where(y == 0, "rose", NAMES))
    with pytest.raises(InputError, match="same as on"):
        model.partial_fit(X, NAMES, classes=["rose", "setosa"])
    assert model.fit(X, NAMES).n_iter_ == 1


def test_warm_start_goes_on_with_the_weights() -> None:
    model = quick(warm_start=True, epochs=20).fit(X, y)
    module, last = model.module_, model.loss_curve_[-1]
    model.fit(X, y)
    assert model.module_ is module
    assert model.loss_curve_[20] < model.loss_curve_[0] / 2
    assert model.loss_curve_[20] == pytest.approx(last, rel=0.2)
    assert model.history_["epoch"] == list(range(1, 41))
    with pytest.raises(InputError, match="warm_start goes on with the classes"):
        model.fit(X, NAMES)


def test_compiled_steps_learn_the_same() -> None:
    eager = Classifier(Dropped, epochs=5, batch_size=40, random_state=0).fit(X, y)
    compiled = Classifier(Dropped, epochs=5, batch_size=40, random_state=0, compile=True).fit(X, y)
    np.testing.assert_allclose(compiled.loss_curve_, eager.loss_curve_, rtol=1e-9)
    np.testing.assert_allclose(compiled.predict_proba(X), eager.predict_proba(X), rtol=1e-9)


def test_copies_predict_the_same() -> None:
    for model in (quick().fit(X, y), Regressor(Dropped, epochs=2).fit(X, y), Transformer(epochs=2).fit(X)):
        method = "transform" if isinstance(model, Transformer) else "predict"
        for other in (pickle.loads(pickle.dumps(model)), copy.deepcopy(model)):
            np.testing.assert_array_equal(getattr(other, method)(X), getattr(model, method)(X))
            other.partial_fit(X, y)
            assert other.n_iter_ == model.n_iter_ + 1


def test_ctrl_c_keeps_the_epochs_so_far_and_goes_on_upwards() -> None:
    calls = []

    def interrupted(outputs: Any, targets: Any) -> Any:
        calls.append(1)
        if len(calls) > 3:
            raise KeyboardInterrupt
        return functional.cross_entropy(outputs, targets)

    model = quick(loss=interrupted, outputs="logits")
    with pytest.raises(KeyboardInterrupt):
        model.fit(X, y)
    assert model.n_iter_ == 3
    assert model.predict(X).shape == (150,)


def test_figures_are_printed(capsys: pytest.CaptureFixture[str]) -> None:
    quick(verbose=True, epochs=2, early_stopping=True).fit(X, y)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("epoch 1, loss 1.")
    assert "validation_loss" in lines[0]


def test_a_search_over_a_pipeline() -> None:
    pipeline = make_pipeline(StandardScaler(), quick(epochs=40))
    grid = {"classifier__module__hidden": [1, 10], "classifier__lr": [0.0001, 0.05]}
    search = GridSearchCV(pipeline, grid, cv=3, error_score="raise").fit(X, NAMES)
    assert search.best_params_ == {"classifier__module__hidden": 10, "classifier__lr": 0.05}
    assert search.best_score_ > 0.9
    assert cross_val_score(search.best_estimator_, X, NAMES, cv=3).mean() > 0.9


def test_calibration_and_permutation_importance() -> None:
    model = quick()
    calibrated = CalibratedClassifierCV(model, cv=3).fit(X, NAMES)
    assert calibrated.score(X, NAMES) > 0.9
    inputs = np.hstack([X, np.random.default_rng(0).normal(size=(150, 1))])
    importances = permutation_importance(model.fit(inputs, y), inputs, y, n_repeats=3, random_state=0).importances_mean
    assert importances[3] > 0.1 > importances[4]


def test_weights_are_routed() -> None:
    with sklearn.config_context(enable_metadata_routing=True):
        model = quick(epochs=5).set_fit_request(sample_weight=True).set_score_request(sample_weight=True)
        weights = np.where(y == 2, 0.0, 1.0)
        fits = cross_validate(model, X, y, params={"sample_weight": weights}, cv=3, return_estimator=True)
    assert [fitted.classes_.tolist() for fitted in fits["estimator"]] == [[0, 1]] * 3


CONTAINERS: dict[str, Callable[[Any], Any]] = {
    "lists": lambda x: x.tolist(),
    "frames and series": lambda x: pd.DataFrame(x) if x.ndim > 1 else pd.Series(x),
    "frames alone": pd.DataFrame,
    "types with missing values": lambda x: (pd.DataFrame(x) if x.ndim > 1 else pd.Series(x)).convert_dtypes(),
    "tensors": tg.tensor,
    "rows in memory one after another": np.asfortranarray,
}


@pytest.mark.parametrize("kind", CONTAINERS)
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_data_may_be_in_any_container(kind: str) -> None:
    contained = CONTAINERS[kind]
    for estimator, inputs, targets in ((quick(epochs=2), X, y), (Regressor(epochs=2, random_state=0), XR, YR)):
        expected = estimator.fit(inputs, targets).predict(inputs)
        np.testing.assert_allclose(estimator.fit(contained(inputs), contained(targets)).predict(inputs), expected)
    model = Transformer(epochs=2, random_state=0)
    expected = model.fit(X).transform(X)
    np.testing.assert_allclose(model.fit(contained(X)).transform(contained(X)), expected)


WRONG: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("no rows", lambda: quick().fit(X[:0], y[:0]), ValueError, "0 sample"),
    ("NaN in X", lambda: quick().fit(np.where(X > 1, np.nan, X), y), ValueError, "X contains NaN"),
    *(
        (f"{name} in {what}", lambda X=X, y=y, estimator=estimator: estimator().fit(X, y), InputError, message)
        for name, times in (("dates", DATES), ("durations", DATES - DATES[0]))
        for what, estimator, X, y, message in (
            ("X", quick, pd.DataFrame({"day": times}), np.arange(9) % 2, "X has times, in the column 'day'"),
            ("an array", Transformer, times.to_numpy()[:, None], None, "X has times, of dtype"),
            ("y", Regressor, np.ones((9, 1)), times, "y has times, of dtype"),
            ("a frame of targets", Regressor, np.ones((9, 1)), pd.DataFrame({"day": times}), "in the column 'day'"),
            ("a series", Regressor, np.ones((9, 1)), pd.Series(times), "y has times, of dtype"),
            (
                "one of two columns",
                quick,
                pd.concat([pd.DataFrame({"day": x}) for x in (times, np.ones(9))], axis=1),
                np.arange(9) % 2,
                "X has times",
            ),
        )
    ),
    (
        "text",
        lambda: quick().fit(pd.DataFrame({"a": [0.5, 1.0], "b": ["x", "y"], "c": pd.Categorical(["u", "v"])}), [0, 1]),
        InputError,
        "X has text, in the columns 'b', 'c': .*OneHotEncoder",
    ),
    ("text in an array", lambda: quick().fit([["x", 1], ["y", 2]], [0, 1]), InputError, "X has text: could not"),
    ("text as y", lambda: Regressor().fit(XR[:2], ["x", "y"]), ValueError, "^could not convert string to float"),
    ("NaN in y", lambda: Regressor().fit(XR, np.where(YR > 1, np.nan, YR)), ValueError, "contains NaN"),
    ("infinite y", lambda: Regressor().fit(XR, np.where(YR > 1, np.inf, YR)), ValueError, "contains infinity"),
    ("one class", lambda: quick().fit(X[:50], y[:50]), InputError, "one class"),
    ("continuous y", lambda: quick().fit(X, X[:, 0]), ValueError, "Unknown label type"),
    ("classes in two columns", lambda: quick().fit(X, np.stack([y, y], axis=1)), ValueError, "label"),
    ("lengths", lambda: quick().fit(X, y[:-1]), ValueError, "inconsistent numbers of samples"),
    ("negative weights", lambda: quick().fit(X, y, sample_weight=-np.ones(150)), InputError, "must not be negative"),
    (
        "too few outputs",
        lambda: Classifier(nn.Linear(4, 2)).fit(X, y),
        ShapeError,
        r"\(2, 2\); 3 classes need 3 columns",
    ),
    (
        "too many outputs",
        lambda: Classifier(nn.Linear(4, 3)).fit(X[TWO], y[TWO]),
        ShapeError,
        "2 classes need one column",
    ),
    (
        "one output",
        lambda: Classifier(flat, loss=functional.nll_loss).fit(X[TWO], y[TWO]),
        ShapeError,
        "need 2 columns",
    ),
    ("targets and outputs", lambda: Regressor(nn.Linear(5, 2)).fit(XR, YR), ShapeError, r"\(120,\) need 1 columns"),
    ("inputs", lambda: Classifier(nn.Linear(5, 3)).fit(X, y), ShapeError, "needs 5 features"),
    ("no rows of outputs", lambda: Regressor(lambda n, k: Total()).fit(XR, YR), UsageError, "row for each row"),
    ("one row of outputs", lambda: Regressor(nn.Flatten(0)).fit(XR, YR), ShapeError, "for 2 rows it made"),
    ("no code", lambda: Transformer(nn.Linear(4, 4)).fit(X), UsageError, "has no encoder"),
    ("no identity", lambda: Transformer(Wider).fit(X), ShapeError, "4 columns, the module made outputs of shape"),
    ("no module", lambda: Classifier(3).fit(X, y), UsageError, "must be a tg.nn.Module"),
    ("builds no module", lambda: Classifier(lambda n, k: n).fit(X, y), UsageError, "its result is 4"),
    ("sizes elsewhere", lambda: Classifier(nn.Linear, module__out_features=4).fit(X, y), InputError, "multiple values"),
    ("no sizes", lambda: Classifier(lambda n: nn.Linear(4, n)).fit(X, y), InputError, "Let the first two parameters"),
    ("no parameters", lambda: Classifier(nn.Identity()).fit(X[:, :3], y), InputError, "no parameters"),
    ("optimizer", lambda: quick(optimizer="Adma").fit(X, y), InputError, "which has .*Adam"),
    ("no optimizer", lambda: quick(optimizer=3).fit(X, y), UsageError, "must be the name of a class"),
    ("lr", lambda: quick(lr=-1).fit(X, y), InputError, "lr must not be negative"),
    ("epochs", lambda: quick(epochs=0).fit(X, y), InputError, "epochs must be"),
    ("batch_size", lambda: quick(batch_size=0).fit(X, y), InputError, "batch_size must be"),
    (
        "too few rows to set some aside",
        lambda: quick(early_stopping=True).fit(X[48:53], y[48:53]),
        InputError,
        r"early_stopping=True cannot set validation_fraction=0.1 of 5 rows aside: .*classes",
    ),
    ("a loss of one's own", lambda: quick(loss=brier).fit(X, y), InputError, "say what kind of outputs it takes"),
    *(
        (
            f"the name of a loss of {kind.__name__}",
            lambda kind=kind: kind(loss="mse").fit(X, y),
            UsageError,
            "got str: 'mse'",
        )
        for kind in (Classifier, Regressor, Transformer)
    ),
    *(
        (f"class weights {weights}", lambda w=weights: quick(class_weight=w).fit(X, y), InputError, words)
        for weights, words in (
            ({0: -1.0}, "class_weight must not be negative"),
            ({0: np.nan}, "class_weight must not be negative"),
            ({0: 0, 1: 0, 2: 0}, "class_weight must not be negative, nor 0 for all samples"),
            ([1, 2], r"a dict from classes to weights, or 'balanced'; got \[1, 2\]"),
            ("auto", "a dict from classes to weights, or 'balanced'; got 'auto'"),
        )
    ),
    ("outputs", lambda: quick(outputs="logit").fit(X, y), InputError, "outputs must be one of"),
    (
        "the loss's outputs",
        lambda: quick(loss=nn.NLLLoss(), outputs="logits").fit(X, y),
        InputError,
        "log_probabilities",
    ),
    *(
        (
            f"{outputs} of {module.__name__}",
            lambda module=module, rows=rows, outputs=outputs: Classifier(module, outputs=outputs, random_state=0).fit(
                X[rows], y[rows]
            ),
            UsageError,
            words,
        )
        for rows, module, outputs, words in (
            (y >= 0, probabilistic, None, "are probabilities already, .*: pass outputs='probabilities'"),
            (y >= 0, Perceptron, "probabilities", "are not probabilities: let it end in Softmax or Sigmoid"),
            (y >= 0, Perceptron, "log_probabilities", "are not log_probabilities: let it end in LogSoftmax"),
            (y >= 0, probabilistic, "log_probabilities", "are not log_probabilities"),
            (TWO, probabilistic, "log_probabilities", "are not log_probabilities"),
        )
    ),
    ("components", lambda: Transformer(n_components=0).fit(X), InputError, "n_components must be"),
    ("no classes", lambda: quick().partial_fit(X, y), InputError, "on the first call"),
    ("balanced parts", lambda: quick(class_weight="balanced").partial_fit(X, y, y), InputError, "all rows at once"),
    ("not fitted", lambda: quick().predict(X), NotFittedError, "not fitted"),
    ("diverges", lambda: Regressor(optimizer="SGD", lr=1e9).fit(XR, YR), AnomalyError, "in epoch"),
    (
        "diverges slowly",
        lambda: Regressor(optimizer="SGD", lr=1e200).partial_fit(XR, YR).partial_fit(XR, YR),
        AnomalyError,
        "in epoch 1",
    ),
    (
        "weights of no rows",
        lambda: Regressor(loss=lambda a, b: np.mean(a - b)).fit(XR, YR, sample_weight=np.ones(120)),
        UsageError,
        "need a loss for each row",
    ),
]


@pytest.mark.parametrize(("call", "kind", "message"), [x[1:] for x in WRONG], ids=[x[0] for x in WRONG])
def test_bad_input(call: Callable[[], Any], kind: type[Exception], message: str) -> None:
    with pytest.raises(kind, match=message), np.errstate(all="ignore"):
        call()


def test_a_failure_leaves_what_there_was() -> None:
    model = quick(epochs=2).fit(X, y)
    before = model.predict_proba(X)
    for settings in ({"module": nn.Linear(4, 7)}, {"lr": -1.0}, {"optimizer": "Adma"}, {"outputs": "x"}):
        with pytest.raises(TinygradError):
            clone(model).set_params(**settings).fit(X, y)
        with pytest.raises(TinygradError):
            model.set_params(**settings).fit(X, y)
        model.set_params(**{name: getattr(quick(epochs=2), name) for name in settings})
        np.testing.assert_array_equal(model.predict_proba(X), before)


@pytest.mark.parametrize("labels", [NAMES, NAMES[TWO]])
def test_logits_that_may_be_taken_for_probabilities(labels: Any) -> None:
    """Some are between 0 and 1 by chance or by their scale, or all the same."""

    def constant(n_features_in: int, n_outputs: int) -> nn.Module:
        last = nn.Linear(n_features_in, n_outputs)
        bias = np.full(n_outputs, 1 / n_outputs)
        last.load_state_dict({"weight": np.zeros((n_outputs, n_features_in)), "bias": bias})
        return last

    def narrow(n_features_in: int, n_outputs: int) -> nn.Module:
        last = constant(n_features_in, n_outputs)
        last.weight.data = np.full((n_outputs, n_features_in), 1e-3)
        return nn.Sequential(nn.LayerNorm(n_features_in), last)

    for module in (constant, narrow):
        Classifier(module, epochs=2).fit(X[: len(labels)], labels)
