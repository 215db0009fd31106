"""The heart-disease data: the 270 patients of the Statlog selection, or all 303 patients from Cleveland."""

from pathlib import Path
from typing import Any

import numpy as np

from tinygrad_lite.datasets.bunch import Bunch
from tinygrad_lite.errors import InputError, MissingExtraError

FEATURE_NAMES = [
    "age",
    "sex",
    "chest_pain",
    "resting_blood_pressure",
    "serum_cholestoral",
    "fasting_blood_sugar",
    "resting_ecg_results",
    "max_heart_rate_achieved",
    "exercise_induced_angina",
    "oldpeak",
    "slope of the peak",
    "num_of_major_vessels",
    "thal",
]
TARGET_NAME = "heart_disease"

_COLUMNS = """\
age                      years
sex                      0 female, 1 male
chest_pain               1 typical angina, 2 atypical angina, 3 other pain, 4 none
resting_blood_pressure   mm Hg, on admission
serum_cholestoral        mg/dl
fasting_blood_sugar      1 if above 120 mg/dl
resting_ecg_results      0 normal, 1 ST-T wave abnormality, 2 left ventricular hypertrophy
max_heart_rate_achieved  beats per minute
exercise_induced_angina  1 yes, 0 no
oldpeak                  ST depression induced by exercise, against rest
slope of the peak        of the exercise ST segment: 1 up, 2 flat, 3 down
num_of_major_vessels     0 to 3, coloured by fluoroscopy
thal                     3 normal, 6 fixed defect, 7 reversible defect
heart_disease            the target: 0 absent, 1 present
"""
_STATLOG = """\
Heart disease, the Statlog selection: 270 patients, 13 features, none missing. 150 without the disease (1 in the file,
0 here), 120 with it (2 in the file, 1 here).

Licence: CC BY 4.0. Cite as: Statlog (Heart) [Dataset]. UCI Machine Learning Repository.
https://doi.org/10.24432/C57303
"""
_CLEVELAND = """\
Heart disease, Cleveland: 303 patients, 13 features; six values of num_of_major_vessels and thal are missing (NaN). The
file grades the disease from 0 (absent) to 4, which is `severity` here; the target is 1 for every grade above 0. All
270 patients of the Statlog selection are among these.

Licence: CC BY 4.0. Cite as: Janosi, A., Steinbrunn, W., Pfisterer, M., & Detrano, R. (1989). Heart Disease [Dataset].
UCI Machine Learning Repository. https://doi.org/10.24432/C52P4X
"""


def load_heart(*, source: str = "statlog", return_X_y: bool = False, as_frame: bool = False) -> Any:
    """Load the heart-disease data, in the form of scikit-learn's loaders.

    Args:
        source: "statlog" (270 × 13, nothing missing) or "cleveland" (303 × 13, missing values are NaN).
        return_X_y: return only (data, target).
        as_frame: return data as a pandas DataFrame and target as a Series, and both together as `frame`.

    Returns:
        A `Bunch` with `data` (float64), `target` (0 absent, 1 present), `feature_names`, `target_names`, `frame` (None
        unless `as_frame`), and `DESCR`, which states the units, the licence and the citation. The Cleveland data also
        have `severity`.

    Raises:
        InputError: if there is no such source.

    Example:
        >>> heart = load_heart()
        >>> heart.data.shape, int(heart.target.sum())
        ((270, 13), 120)
    """
    here = Path(__file__).parent
    if source == "statlog":
        table = np.loadtxt(here / "heart.dat")
        graded = {"target": (table[:, -1] == 2).astype(np.int64)}
        description = _STATLOG
    elif source == "cleveland":
        table = np.genfromtxt(here / "processed.cleveland.data", delimiter=",", missing_values="?")
        severity = table[:, -1].astype(np.int64)
        graded = {"target": (severity > 0).astype(np.int64), "severity": severity}
        description = _CLEVELAND
    else:
        raise InputError(f"source must be 'statlog' or 'cleveland', got {source!r}")
    heart = Bunch(
        data=table[:, :-1],
        **graded,
        feature_names=list(FEATURE_NAMES),
        target_names=["absent", "present"],
        frame=None,
        DESCR=f"{description}\n{_COLUMNS}",
    )
    if as_frame:
        pandas = _pandas()
        heart.update(
            data=pandas.DataFrame(heart.data, columns=FEATURE_NAMES),
            target=pandas.Series(heart.target, name=TARGET_NAME),
        )
        heart["frame"] = heart.data.assign(**{TARGET_NAME: heart.target})
    return (heart.data, heart.target) if return_X_y else heart


def _pandas() -> Any:
    try:
        import pandas
    except ImportError as error:
        raise MissingExtraError("as_frame=True", "pandas", "examples") from error
    return pandas
