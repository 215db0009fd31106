"""Datasets that come with scikit-learn, in the form of `load_heart`; none needs a network."""

from typing import Any

from tinygrad_lite.datasets.bunch import Bunch
from tinygrad_lite.errors import MissingExtraError


def load_digits(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 1,797 images of handwritten digits: 64 pixels of 0 to 16 each, row by row, and the digits 0 to 9.

    The arguments and the result are those of `load_heart`. Reshape the data to (1797, 1, 8, 8) for convolutions.
    Source: Alpaydin and Kaynak (1998), Optical Recognition of Handwritten Digits, UCI.

    Raises:
        MissingExtraError: if scikit-learn is not installed.

    Example:
        >>> x, y = load_digits(return_X_y=True)
        >>> x.shape, x.max(), y[:3].tolist()
        ((1797, 64), np.float64(16.0), [0, 1, 2])
    """
    return _loaded("digits", return_X_y, as_frame)


def load_iris(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 150 iris flowers: 4 lengths and widths in cm, and the species 0 to 2.

    The arguments and the result are those of `load_heart`.
    Source: Fisher (1936), The use of multiple measurements in taxonomic problems.

    Raises:
        MissingExtraError: if scikit-learn is not installed.

    Example:
        >>> iris = load_iris()
        >>> iris.data.shape, [str(name) for name in iris.target_names]
        ((150, 4), ['setosa', 'versicolor', 'virginica'])
    """
    return _loaded("iris", return_X_y, as_frame)


def load_wine(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 178 wines: 13 results of chemical analysis, and the cultivar 0 to 2.

    The arguments and the result are those of `load_heart`.
    Source: Aeberhard and Forina (1991), Wine, UCI.

    Raises:
        MissingExtraError: if scikit-learn is not installed.

    Example:
        >>> load_wine().data.shape
        (178, 13)
    """
    return _loaded("wine", return_X_y, as_frame)


def load_diabetes(*, return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load 442 diabetes patients: 10 measurements, each with mean 0 and sum of squares 1, and the progression.

    The progression is a number from 25 to 346. The arguments and the result are those of `load_heart`.
    Source: Efron, Hastie, Johnstone and Tibshirani (2004), Least angle regression.

    Raises:
        MissingExtraError: if scikit-learn is not installed.

    Example:
        >>> diabetes = load_diabetes()
        >>> diabetes.data.shape, diabetes.target.max()
        ((442, 10), np.float64(346.0))
    """
    return _loaded("diabetes", return_X_y, as_frame)


def _loaded(name: str, return_X_y: bool, as_frame: bool) -> Any:
    try:
        from sklearn import datasets
    except ImportError:
        raise MissingExtraError(f"load_{name}()", "scikit-learn", "estimators") from None
    loaded = getattr(datasets, f"load_{name}")(return_X_y=return_X_y, as_frame=as_frame)
    return loaded if return_X_y else Bunch(loaded)
