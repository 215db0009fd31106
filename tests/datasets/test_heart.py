"""The heart-disease data: what is in them, and in which form they come."""

import numpy as np
import pytest

from tinygrad_lite.datasets import load_heart
from tinygrad_lite.errors import InputError


def test_statlog() -> None:
    heart = load_heart()
    assert heart.data.shape == (270, 13)
    assert heart.data.dtype == np.float64
    assert np.bincount(heart.target).tolist() == [150, 120]
    assert not np.isnan(heart.data).any()
    assert heart.frame is None
    assert heart.feature_names[0] == "age"
    assert heart.feature_names[10] == "slope of the peak"
    assert heart["data"] is heart.data
    np.testing.assert_array_equal(heart.data[0], [70, 1, 4, 130, 322, 0, 2, 109, 0, 2.4, 2, 3, 3])
    assert heart.target[0] == 1
    assert "CC BY 4.0" in heart.DESCR
    assert "10.24432/C57303" in heart.DESCR
    assert all(name in heart.DESCR for name in heart.feature_names)


def test_cleveland() -> None:
    heart = load_heart(source="cleveland")
    assert heart.data.shape == (303, 13)
    missing = np.isnan(heart.data)
    assert missing.sum() == 6
    assert set(np.array(heart.feature_names)[missing.any(axis=0)]) == {"num_of_major_vessels", "thal"}
    assert set(heart.severity) == {0, 1, 2, 3, 4}
    np.testing.assert_array_equal(heart.target, heart.severity > 0)
    assert "10.24432/C52P4X" in heart.DESCR
    assert "Janosi" in heart.DESCR


def test_every_statlog_patient_is_among_clevelands() -> None:
    cleveland = {tuple(row) for row in load_heart(source="cleveland").data}
    assert all(tuple(row) in cleveland for row in load_heart().data)


def test_the_forms_of_scikit_learn() -> None:
    pandas = pytest.importorskip("pandas", reason="pandas comes with the extra `examples`")
    data, target = load_heart(return_X_y=True)
    assert data.shape == (270, 13)
    heart = load_heart(as_frame=True)
    assert isinstance(heart.data, pandas.DataFrame)
    assert isinstance(heart.target, pandas.Series)
    assert list(heart.frame.columns) == [*heart.feature_names, "heart_disease"]
    np.testing.assert_array_equal(heart.data.to_numpy(), data)
    np.testing.assert_array_equal(heart.frame["heart_disease"], target)
    frame, series = load_heart(return_X_y=True, as_frame=True)
    assert frame.shape == (270, 13)
    assert series.name == "heart_disease"


def test_each_call_gives_data_of_its_own() -> None:
    load_heart().data[:] = 0
    load_heart().feature_names.clear()
    assert load_heart().data.any()
    assert load_heart().feature_names


def test_errors() -> None:
    with pytest.raises(InputError, match="'statlog' or 'cleveland', got 'hungary'"):
        load_heart(source="hungary")
    with pytest.raises(AttributeError, match=r"no 'images' here, only data"):
        _ = load_heart().images
