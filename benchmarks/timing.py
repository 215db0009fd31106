"""Fair timing: contestants in turn, round after round, each compared with the first of the same round."""

from collections.abc import Callable
from statistics import median
from time import perf_counter

Step = Callable[[], object]


def microseconds(step: Step, repetitions: int) -> float:
    """The time of one call, averaged over several."""
    start = perf_counter()
    for _ in range(repetitions):
        step()
    return (perf_counter() - start) / repetitions * 1e6


def repetitions_within(step: Step, seconds: float) -> int:
    """How many calls take this long, at least one; the calls that find out are a warm-up."""
    step()
    repetitions = 1
    while (time := microseconds(step, repetitions)) * repetitions < seconds * 1e6 / 5:
        repetitions *= 2
    return max(1, int(seconds * 1e6 / time))


def compare(
    contestants: dict[str, Step], rounds: int = 15, seconds_each: float = 0.05
) -> dict[str, tuple[float, float]]:
    """For each contestant, the median time in microseconds, and the median ratio to the first in the same round."""
    repetitions = {name: repetitions_within(step, seconds_each) for name, step in contestants.items()}
    times: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(rounds):
        for name, step in contestants.items():
            times[name].append(microseconds(step, repetitions[name]))
    first = next(iter(times.values()))
    return {
        name: (median(samples), median(time / base for time, base in zip(samples, first)))
        for name, samples in times.items()
    }
