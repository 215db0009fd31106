"""What all loaders have in common."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from tinygrad_lite import datasets

LOADERS = [getattr(datasets, name) for name in datasets.__all__ if name.startswith("load_")]


@pytest.mark.parametrize("load", LOADERS, ids=lambda load: load.__name__)
def test_all_loaders_have_one_interface(load: Callable[..., Any]) -> None:
    bunch, (data, target) = load(), load(return_X_y=True)
    assert type(bunch) is datasets.Bunch
    np.testing.assert_array_equal(bunch.data, data)
    np.testing.assert_array_equal(bunch.target, target)
    assert data.shape == (len(target), len(bunch.feature_names))
    assert data.dtype == np.float64
    assert np.isfinite(data).all()
    assert len(bunch.DESCR) > 200
    framed = load(as_frame=True)
    assert isinstance(framed.data, pd.DataFrame)
    assert isinstance(framed.target, pd.Series)
    assert framed.frame.shape == (len(target), data.shape[1] + 1)
    np.testing.assert_array_equal(framed.data, data)
