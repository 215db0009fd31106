"""The recording of operations: what it sees, whose lines it names, and that it leaves nothing behind."""

import threading
from typing import Any

import numpy as np

import tinygrad_lite as tg
from tinygrad_lite import nn
from tinygrad_lite.readers.recording import observing, recording


def test_operations_in_order_with_what_they_were_given() -> None:
    x = tg.tensor([1.0, 2.0], requires_grad=True)
    with recording() as steps:
        y = np.sin(x) * 2  # recorded here
        (y > 1).any()
    assert [step.op.name for step in steps] == ["sin", "multiply", "greater", "any"]
    np.testing.assert_array_equal(steps[1].arrays[0], np.sin([1.0, 2.0]))
    assert steps[1].arrays[1] == 2
    assert steps[1].result is y
    assert str(steps[0].source).startswith("test_recording.py:")
    assert str(steps[0].source).endswith("y = np.sin(x) * 2  # recorded here")


def test_lines_are_the_users_and_not_the_librarys() -> None:
    model = nn.Sequential(nn.Linear(2, 2, rng=0), nn.ReLU())
    with recording() as steps:
        model(np.ones((1, 2)))  # the user's
    assert {step.source.text for step in steps if step.source} == {"model(np.ones((1, 2)))  # the user's"}


def test_nothing_is_left_behind_and_other_threads_are_not_seen() -> None:
    plain = tg.Tensor.__trace__
    seen: list[Any] = []

    def elsewhere() -> None:
        tg.tensor(1.0) + 1

    try:
        with observing(seen.append), recording() as steps:
            thread = threading.Thread(target=elsewhere)
            thread.start()
            thread.join()
            tg.tensor(1.0) * 2
            raise KeyError
    except KeyError:
        pass
    assert [step.op.name for step in steps] == ["multiply"]
    assert len(seen) == 1
    tg.tensor(1.0) * 2
    assert len(seen) == 1
    assert tg.Tensor.__trace__ is plain
