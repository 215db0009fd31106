"""Programs that nobody wrote: a few of those that `python -m benchmarks.random_programs` draws."""

import pytest

pytest.importorskip("scipy.special")

from benchmarks.random_programs.__main__ import examined, kept_from_the_screen


@pytest.mark.parametrize("seeds", [range(100), pytest.param(range(100, 1200), marks=pytest.mark.slow)], ids=len)
def test_random_programs_show_no_fault(seeds: range) -> None:
    with kept_from_the_screen() as printed:
        examinations = [examined(seed, printed) for seed in seeds]
    faults = [code for _, fault in examinations if fault for code in fault]
    assert not faults, "\n\n".join(faults)
    assert sum(remarks[0].startswith("outcome: right") for remarks, _ in examinations) > 0.5 * len(seeds)
