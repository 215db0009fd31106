"""Where a mode holds: only in its block or function, and in one thread, task or generator."""

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Generator, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite.engine import grad_mode
from tinygrad_lite.errors import UsageError

SWITCHES = [tg.no_grad, tg.enable_grad]
X = tg.tensor(2.0, requires_grad=True)


def builds_graph() -> bool:
    return (X * X).requires_grad


def finished(task: Coroutine[Any, Any, Any]) -> Any:
    """The result of a task, run in a thread of its own: a browser that other tests drive may hold this one's loop."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(asyncio.run, task).result()


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("around", SWITCHES)
def test_a_generator_keeps_its_mode_to_itself(switch: Callable[[], Any], around: Callable[[], Any]) -> None:
    inside = switch is tg.enable_grad

    def values() -> Iterator[bool]:
        with switch():
            yield builds_graph()
            yield builds_graph()
        yield builds_graph()

    with around():
        here = builds_graph()
        generator = values()
        for expected in (inside, inside, here):
            assert next(generator) == expected
            assert builds_graph() == here
        assert list(generator) == []
        assert builds_graph() == here
    assert builds_graph()


def test_blocks_that_end_in_another_order_than_they_began() -> None:
    def values() -> Iterator[None]:
        with tg.no_grad():
            yield
        yield

    generator = values()
    next(generator)
    with tg.enable_grad():
        next(generator)  # the generator's block ends in this one
        assert builds_graph()
    assert builds_graph()
    other = values()
    next(other)
    other.close()
    assert builds_graph()
    with tg.no_grad():
        third = values()
        next(third)
    assert builds_graph()
    assert grad_mode.enabled.get() is True  # no block that is over lives on, of which every operation would ask


def test_an_asynchronous_generator_keeps_its_mode_to_itself() -> None:
    async def values() -> AsyncIterator[bool]:
        with tg.no_grad():
            yield builds_graph()
            await asyncio.sleep(0)
            yield builds_graph()

    async def main() -> list[tuple[bool, bool]]:
        return [(value, builds_graph()) async for value in values()]

    assert finished(main()) == [(False, True), (False, True)]


def test_a_context_manager_sets_the_mode_of_its_block() -> None:
    @contextlib.contextmanager
    def evaluating() -> Iterator[None]:
        with tg.no_grad():
            yield

    with evaluating():
        assert not builds_graph()
    with contextlib.ExitStack() as stack:
        stack.enter_context(evaluating())
        assert not builds_graph()
    assert builds_graph()


def test_tasks_have_modes_of_their_own() -> None:
    found = {}

    async def without() -> None:
        with tg.no_grad():
            await asyncio.sleep(0.01)
            found["without"] = builds_graph()

    async def with_graph() -> None:
        await asyncio.sleep(0.005)
        found["with"] = builds_graph()

    async def main() -> None:
        await asyncio.gather(without(), with_graph())

    finished(main())
    assert found == {"without": False, "with": True}


@pytest.mark.parametrize("switch", SWITCHES)
@pytest.mark.parametrize("around", SWITCHES)
def test_a_decorated_generator_has_the_mode_in_its_turns_alone(
    switch: Callable[[], Any], around: Callable[[], Any]
) -> None:
    @switch()
    def values(start: int) -> Generator[Any, Any, str]:
        """What is computed in each turn."""
        sent = yield start, builds_graph()
        yield sent, builds_graph()
        return "end"

    @contextlib.contextmanager
    @switch()
    def block() -> Iterator[None]:
        yield

    def consumer() -> Iterator[Any]:
        yield (yield from values(7))

    inside = switch is tg.enable_grad
    with around():
        here = builds_graph()
        generator = values(1)
        assert next(generator) == (1, inside)
        assert builds_graph() == here
        assert generator.send(2) == (2, inside)
        assert builds_graph() == here
        assert list(consumer()) == [(7, inside), (None, inside), "end"]
        interrupted = values(3)
        next(interrupted)
        interrupted.close()
        with block():  # whose mode is its own, as in PyTorch
            assert builds_graph() == here
    assert builds_graph()
    assert grad_mode.enabled.get() is True
    assert values.__doc__ == "What is computed in each turn."


def test_a_decorated_function_has_the_mode_and_what_runs_later_is_refused() -> None:
    assert tg.no_grad()(builds_graph)() is False

    @tg.no_grad()
    def recursive(depth: int) -> bool:
        return builds_graph() if depth == 0 else recursive(depth - 1) or builds_graph()

    assert recursive(3) is False
    assert builds_graph()

    async def task() -> None: ...

    async def both() -> AsyncIterator[None]:
        yield

    for function in (task, both):
        for mode in (tg.no_grad, tg.enable_grad):
            with pytest.raises(
                UsageError, match=f"^{function.__name__} runs later .* a `with` block in its body instead$"
            ):
                mode()(function)


def test_the_mode_is_restored_after_an_error() -> None:
    with contextlib.suppress(ZeroDivisionError), tg.no_grad():
        _ = 1 / 0
    assert builds_graph()
    with pytest.raises(ZeroDivisionError):
        tg.grad(lambda x: x / (1 // 0))(1.0)
    assert builds_graph()


@pytest.mark.parametrize("create_graph", [False, True])
def test_threads_add_their_gradients_up_in_one_leaf(create_graph: bool) -> None:
    w = tg.tensor(np.ones(4), requires_grad=True)
    threads, passes = 4, 500
    start = threading.Barrier(threads)

    def work() -> None:
        start.wait()
        for _ in range(passes):
            np.sum(w * 1.0).backward(create_graph=create_graph)

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    np.testing.assert_array_equal(w.grad.numpy(), np.full(4, threads * passes))
