"""Checks one operation on its own to second order, with the values that flowed through it."""

from typing import Any

import numpy as np

from tinygrad_lite.checking.evidence.comparison import compared
from tinygrad_lite.checking.evidence.examination import Examination
from tinygrad_lite.checking.evidence.singular import Kinks
from tinygrad_lite.checking.subjects.subject import EPSILON, FULL, GradientOf, Subject
from tinygrad_lite.engine.tensor import Tensor
from tinygrad_lite.readers.recording import Step

SECOND = "its derivative is right, but the derivative of that is not: does the rule use a value without its history?"


def is_wrong_in_second_order(step: Step) -> bool:
    """Whether the second derivative by an operation's rules differs from the derivative of what the rules compute."""
    try:
        return _is_wrong(step)
    except Exception:  # an operation may only work where it was called
        return False


def _is_wrong(step: Step) -> bool:
    op, params = step.op, step.params
    positions = [i for i, x in enumerate(step.inputs) if isinstance(x, Tensor) and x.requires_grad]
    arrays = [np.asarray(step.arrays[i]) for i in positions]
    if not op.vjps or not positions or not 0 < sum(map(np.size, arrays)) <= FULL:
        return False

    def f(*variables: Any) -> Any:
        replaced = dict(zip(positions, variables))
        return op(*[replaced.get(i, x) for i, x in enumerate(step.arrays)], **params)

    rng = np.random.default_rng(0)
    first = Subject(f, arrays)
    count = len(first.values(first.point))
    subject = GradientOf(first, rng.uniform(0.5, 1.5, count))
    weights = rng.uniform(0.5, 1.5, (2, len(subject.values(subject.point))))
    gradient = subject.rows(subject.point, weights)
    method = "complex"
    try:
        subject.changes(subject.point, np.ones(len(subject.point)))
    except Exception:  # an operation, or a rule, without a continuation to the complex plane
        method = "differences"
    look = Examination(subject, weights, gradient, method, max(first.epsilon, EPSILON), rng)
    kinks = Kinks(look, subject.steps(subject.point))
    return bool(not kinks.steps and np.any(compared(look, kinks).suspicious))
