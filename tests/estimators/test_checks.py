"""scikit-learn's own checks of estimators: all of them pass, with the default module and with a user's."""

import os
import subprocess
import sys
from typing import Any

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from tinygrad_lite.estimators import Classifier


@parametrize_with_checks([Classifier(lr=0.03, epochs=40, optimizer__eps=1e-7)])
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.DataConversionWarning")
def test_a_few_epochs(estimator: Any, check: Any) -> None:
    check(estimator)


@pytest.mark.slow
@pytest.mark.parametrize(
    "made",
    [
        "Classifier()",
        "Regressor()",
        "Transformer()",
        "Classifier(modules.branched, epochs=60, lr=0.02)",
        "Regressor(modules.Tanh, module__hidden=30, optimizer__eps=1e-7, epochs=60, lr=0.03)",
        "Classifier(modules.Convolution, epochs=60, lr=0.03)",
        "Regressor(modules.Recurrent, epochs=150, lr=0.03)",
        "Transformer(modules.LinearCode, epochs=60)",
        "Classifier(compile='numpy', epochs=60, lr=0.02)",
    ],
)
def test_all_checks(made: str) -> None:
    """With the checks of the array API, which an environment variable turns on when a process begins."""
    script = (
        "from sklearn.utils.estimator_checks import check_estimator\n"
        "from tests.estimators import modules\n"
        "from tinygrad_lite.estimators import Classifier, Regressor, Transformer\n"
        f"for result in check_estimator({made}, on_skip=None):\n"
        "    print(result['status'], result['expected_to_fail'], result['exception'])"
    )
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script],
        env={**os.environ, "SCIPY_ARRAY_API": "1"},
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
    lines = ran.stdout.splitlines()
    assert len(lines) > 50
    assert {line for line in lines if line != "passed False None"} <= {
        "skipped False Classifier does not have a decision_function method."
    }
