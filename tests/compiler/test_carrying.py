"""Values that a function finds under a name and replaces there, beside eager: states, averages, moments."""

import copy
import operator
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from operator import is_
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import nn, trees
from tinygrad_lite.errors import UsageError
from tinygrad_lite.nn import functional as F

Name = tuple[Callable[[], Any], Callable[[Any], None]]
"""What reads a name, and what puts another value there."""

state: Any = None


class Box:
    """Something with a field."""

    value: Any = None


@dataclass(frozen=True)
class Weights:
    """A state as functional code keeps it."""

    w: Any
    mean: Any
    count: int


class Holder(nn.Module):
    def __init__(self) -> None:
        self.inner = nn.Identity()
        self.inner.value = None


def of_attribute() -> Name:
    box = Box()
    return lambda: box.value, lambda value: setattr(box, "value", value)


def of_module() -> Name:
    holder = Holder()

    def put(value: Any) -> None:
        holder.inner.value = value

    return lambda: holder.inner.value, put


class Slot:
    """Something with a field that is not kept in a dict."""

    __slots__ = ("value",)


class SlotAndDict(Slot):
    pass


def of_slot() -> Name:
    slot = Slot()
    return lambda: slot.value, lambda value: setattr(slot, "value", value)


def of_slot_beside_a_dict() -> Name:
    slot = SlotAndDict()
    return lambda: slot.value, lambda value: setattr(slot, "value", value)


def of_class() -> Name:
    class Own(Box):
        pass

    def put(value: Any) -> None:
        Own.value = value

    return lambda: Own.value, put


def of_dict() -> Name:
    values: dict[str, Any] = {"a": None}
    return lambda: values["a"], lambda value: values.__setitem__("a", value)


def of_list_in_attribute() -> Name:
    box = Box()
    box.value = [1, [None]]
    return lambda: box.value[1][0], lambda value: box.value[1].__setitem__(0, value)


def of_global() -> Name:
    def put(value: Any) -> None:
        global state
        state = value

    return lambda: state, put


def of_closure() -> Name:
    value = None

    def put(new: Any) -> None:
        nonlocal value
        value = new

    return lambda: value, put


NAMES = [
    of_attribute,
    of_module,
    of_slot,
    of_slot_beside_a_dict,
    of_class,
    of_dict,
    of_list_in_attribute,
    of_global,
    of_closure,
]

VALUES: dict[str, Any] = {
    "tensor": lambda: tg.tensor([1.0, 2.0, 3.0]),
    "array": lambda: np.array([1.0, 2.0, 3.0]),
    "float32": lambda: tg.tensor(np.float32([1, 2, 3])),
    "count": lambda: np.float64(3.0),
    "pair": lambda: (tg.tensor([1.0, 2.0, 3.0]), np.zeros(3)),
    "dict": lambda: {"h": np.ones(3), "t": 2},
    "dataclass": lambda: Weights(np.ones(3), tg.tensor(0.5), 2),
}


def next_value(value: Any, x: Any) -> Any:
    """Another value of the same form."""
    return trees.map_leaves(lambda y: y if isinstance(y, int) else 0.5 * y + np.mean(x, dtype=y.dtype), value)


def results(compile: Callable[[Any], Any], name: Callable[[], Name], start: Callable[[], Any]) -> Iterator[Any]:
    """What the calls return and leave, while the value is also changed from outside."""
    read, put = name()
    weight = tg.tensor([0.5, 0.25, 1.0], requires_grad=True)
    put(start())

    def step(x: Any) -> Any:
        loss = sum(np.sum(weight * x * y) for y in trees.leaves(read()))
        weight.grad = None
        loss.backward()
        with tg.no_grad():
            weight.data = (weight - 0.1 * weight.grad).data
        put(next_value(read(), x))
        return loss

    step = compile(step)
    held = []
    for i in range(4):
        yield step(np.arange(3.0) + i)
        held.append(read())
    yield held  # each call has left another value
    put(start())
    yield step(np.ones(3))
    yield read()
    put(next_value(next_value(read(), np.ones(3)), np.ones(3)))
    yield step(np.ones(3))
    put(trees.map_leaves(lambda y: y if isinstance(y, int) else np.sum(y), read()))  # of another form
    yield step(np.ones(3))
    yield step(np.ones(3))
    yield read()
    yield weight


def plain(value: Any) -> list[Any]:
    return [x.detach().numpy() if isinstance(x, tg.Tensor) else x for x in trees.leaves(value)]


@pytest.mark.parametrize("kind", VALUES)
@pytest.mark.parametrize("name", NAMES)
def test_as_eager(backend: str, name: Callable[[], Name], kind: str) -> None:
    eager = [*results(lambda f: f, name, VALUES[kind])]
    compiled = [*results(lambda f: tg.compile(f, backend), name, VALUES[kind])]
    for expected, value in zip(eager, compiled, strict=True):
        assert trees.structure(value) == trees.structure(expected)
        assert list(map(type, trees.leaves(value))) == list(map(type, trees.leaves(expected)))
        for x, y in zip(plain(value), plain(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-6 if kind == "float32" else 1e-12)
            assert np.asarray(x).dtype == np.asarray(y).dtype


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_one_program_is_enough(backend: str, name: Callable[[], Name]) -> None:
    read, put = name()
    put(np.zeros(3))
    step = tg.compile(lambda x: put(0.5 * read() + x), backend)
    for i in range(10):
        step(np.full(3, float(i)))
    assert repr(step).endswith("1 program>")
    step.repeat(3, np.zeros(3))
    np.testing.assert_allclose(read(), sum(i * 0.5 ** (12 - i) for i in range(10)))


def counting(count: Any, x: Any) -> Any:
    """What a step computes of its count, as Adam does, and a slot in a queue."""
    return x / (1 - 0.9**count) + count % 3 - (count - 1) // 2, np.where(count > 2, x, 0.0)


@pytest.mark.long
@pytest.mark.parametrize("name", [name for name in NAMES if name is not of_class])
def test_numbers_of_python(backend: str, name: Callable[[], Name]) -> None:
    def results(compile: Callable[[Any], Any], start: Any, change: Callable[[Any], Any]) -> Iterator[Any]:
        read, put = name()
        put(start)

        def step(x: Any) -> Any:
            put(change(read()))
            return counting(read(), x)

        step = compile(step)
        for i in range(5):
            yield *step(np.arange(3.0) + i), read(), type(read()).__name__
        put(start * 2)
        for _ in range(2):
            yield *step(np.arange(3.0)), read(), type(read()).__name__

    for start, change in ((1, lambda t: t + 1), (2.5, lambda t: t * 0.99 + 0.1), (1, lambda t: t + 0.5)):
        eager = results(lambda f: f, start, change)
        compiled = results(lambda f, made=[]: made.append(tg.compile(f, backend)) or made[0], start, change)
        for x, y in zip([*eager], compiled, strict=True):
            assert x[-1] == y[-1]
            np.testing.assert_allclose(y[2], x[2], rtol=1e-15)
            np.testing.assert_allclose(y[:2], x[:2], rtol=1e-12)


def test_whole_numbers_that_grow_are_refused() -> None:
    """A program has 64 bits for them, and Python as many as it takes."""
    box = Box()

    def of_itself(x: Any) -> Any:
        box.value = 3 * box.value + 1
        return x

    def of_a_power(x: Any) -> Any:
        box.value = box.value + 1
        return x / 2**box.value

    def of_another(x: Any) -> Any:
        box.value = box.value + 2**40
        return x

    def of_a_product(x: Any) -> Any:
        box.value = box.value + 1
        return x * (box.value * box.value * box.value % 7)

    def doubled(x: Any) -> Any:
        box.value = box.value + box.value
        return x

    def of_a_modulus(x: Any) -> Any:
        box.value = box.value * 3 % 2**40
        return x

    def of_a_total(x: Any) -> Any:
        box.value, box.count, box.total = box.value + box.total, box.count + 1, box.total + box.count
        return x

    def as_fibonacci(x: Any) -> Any:
        box.value, box.total = box.value + box.total, box.value
        return x

    def of_many_totals(x: Any) -> Any:
        box.count, box.value = box.count + 1, box.value + box.count
        return x * (box.value * 8)

    functions = of_itself, of_a_power, of_another, of_a_product, doubled, of_a_modulus, of_a_total, as_fibonacci
    for f in (*functions, of_many_totals):
        box.value = box.count = box.total = 1
        with pytest.raises(UsageError, match=r"a number in each run, Box\.\w+,(.|\n)*more than 64 bits"):
            tg.compile(f, "numpy")(np.ones(2))
        assert box.value == 1


def test_a_whole_number_that_is_already_too_large() -> None:
    for operation in (operator.add, operator.mul, operator.floordiv, operator.and_, operator.xor, operator.neg):
        state = {"hash": 2**64 + 1}

        def f(x: Any, operation: Any = operation, state: Any = state) -> Any:
            state["hash"] = operation(state["hash"], *[3] * (operation is not operator.neg))
            return x * (state["hash"] % 7)

        with pytest.raises(UsageError, match=r"hash.*may become a whole number of more than 64 bits"):
            tg.compile(f, "numpy")(np.ones(2))
        assert state["hash"] == 2**64 + 1

    def masked(x: Any) -> Any:
        small["hash"] = (small["hash"] * 3) & 0xFFFFFFFFFFFFFFFF
        return x * small["hash"]

    small = {"hash": 5}
    with pytest.raises(UsageError, match=r"bitwise_and at test_carrying.py(.|\n)*more than 64 bits"):
        tg.compile(masked, "numpy")(np.ones(2))


def test_totals_of_counts(backend: str) -> None:
    """While they have room to grow in 64 bits, which each call looks after."""

    def make() -> tuple[Any, Any]:
        state: dict[str, Any] = {"turns": 0, "rows": 0, "total": 0, "both": (0, 1), "less": 0}

        def step(x: Any) -> Any:
            state["turns"] += 1
            state["rows"] += len(x)
            state["total"] += state["turns"] + state["rows"]
            state["both"] = state["both"][0] + 1, state["both"][1] + state["both"][0]
            state["less"] -= state["turns"]
            return x * state["total"] + state["both"][1], state["total"] // state["turns"] - state["less"]

        return step, state

    (step, expected), (compiled, state) = make(), make()
    compiled = tg.compile(compiled, backend)
    for i in range(8):
        if i == 5:
            state["total"] = expected["total"] = 2**60
        for y, z in zip(compiled(np.arange(3.0)), step(np.arange(3.0)), strict=True):
            np.testing.assert_allclose(y, z)
        assert state == expected
    assert sum(map(len, compiled._runs.values())) == 1
    state["total"] = 2**61
    with pytest.raises(UsageError, match=r"state\['total'\] may become a whole number of more than 64 bits"):
        compiled(np.arange(3.0))
    assert state["total"] == 2**61


def test_whole_numbers_that_do_not_grow(backend: str) -> None:
    def make() -> tuple[Any, Any]:
        state = {"turns": 0, "rows": 0, "right": 0, "slot": 0}

        def step(x: Any) -> Any:
            state["turns"] += 1
            state["rows"] += 2 * len(x)
            state["right"] += np.sum(x > 1).item()
            state["slot"] = (5 * state["slot"] + 3) % 16
            right = 100 * state["right"] / state["rows"]
            return right, x * state["turns"] ** 2, abs(3 - state["turns"]) & 1, state["slot"] // 2

        return step, state

    (step, expected), (compiled, state) = make(), make()
    compiled = tg.compile(compiled, backend)
    for i in range(6):
        x = np.arange(3.0) + i
        for y, z in zip(compiled(x), step(x), strict=True):
            assert kind_of(y) == kind_of(z)
            np.testing.assert_allclose(y, z)
        assert state == expected  # counts that are equal at first stay two
        assert {*map(type, state.values())} == {int}
    assert sum(map(len, compiled._runs.values())) == 1


def test_numbers_in_containers_that_are_replaced(backend: str) -> None:
    """As a pure function of an optimiser's state does; what does not change there may still be what Python needs."""

    def make() -> tuple[Callable[[Any], Any], Any]:
        state = {"all": {"mean": np.zeros(3), "turns": 0, "rates": (0.5, 2)}}

        def step(x: Any) -> Any:
            old = state["all"]
            rate, power = old["rates"]
            mean = (1 - rate) * old["mean"] + rate * x
            state["all"] = {"mean": mean, "turns": old["turns"] + 1, "rates": (rate * 0.9, power)}
            return sum(mean for _ in range(power)) / (1 - 0.9 ** (old["turns"] + 1))

        return step, state

    (step, expected), (compiled, state) = make(), make()
    compiled = tg.compile(compiled, backend)
    for i in range(6):
        x = np.arange(3.0) + i
        np.testing.assert_allclose(compiled(x), step(x), rtol=1e-12)
        assert trees.structure(state) == trees.structure(expected)
        for y, z in zip(trees.leaves(state), trees.leaves(expected), strict=True):
            assert kind_of(y) == kind_of(z)
            np.testing.assert_allclose(y, z, rtol=1e-12)
    assert sum(map(len, compiled._runs.values())) == 1


def test_state_that_the_first_call_makes(backend: str) -> None:
    """As an optimiser by hand makes its moments; the call that makes them is the function itself."""

    def make() -> tuple[Callable[[Any], Any], dict[str, Any]]:
        kept: dict[str, Any] = {}

        def step(x: Any) -> Any:
            state = kept.setdefault("moments", {})
            if "turns" not in state:
                state["mean"], state["turns"] = np.zeros(3), 0
            state["turns"] += 1
            state["mean"] = 0.9 * state["mean"] + 0.1 * x
            kept["last"] = state["mean"] / (1 - 0.9 ** state["turns"])
            return kept["last"] * 2

        return step, kept

    (step, expected), (compiled, kept) = make(), make()
    compiled = tg.compile(compiled, backend)
    for i in range(6):
        np.testing.assert_allclose(compiled(np.arange(3.0) + i), step(np.arange(3.0) + i), rtol=1e-12)
        assert str(kept) == str(expected)
        if i == 3:
            del expected["last"], kept["last"], expected["moments"], kept["moments"]

    def refused(x: Any) -> Any:
        kept["another"] = x * 2
        return x * len(f"{np.sum(x)}")

    with pytest.raises(UsageError, match="needs a value"):
        tg.compile(refused, backend)(np.ones(2))
    assert "another" not in kept


def kind_of(x: Any) -> Any:
    return type(x) if type(x) in (bool, int, float) else x.dtype


def test_a_number_of_numpys_keeps_its_dtype_and_one_of_pythons_does_not(backend: str) -> None:
    """NumPy's function turns a count into a float64, beside which float32 becomes float64."""
    box = Box()
    functions: list[Callable[[Any, Any], Any]] = [
        lambda t, _: 0.5 * t,
        lambda t, _: (1 - 0.9**t) ** 0.5,
        lambda t, _: np.sqrt(1 - 0.9**t),
        lambda t, _: np.add(t, 1),
        lambda t, _: np.negative(t),
        lambda t, _: np.power(0.9, t),
        lambda t, _: np.minimum(1.0, t / 3),
        lambda t, _: np.where(t > 2, 1.0, 2.0),
        lambda t, _: np.divmod(t, 2)[0],
        lambda t, _: np.sqrt(t).item(),
        lambda _, x: x.sum(),
        lambda _, x: x.sum().item(),
        lambda _, x: x.sum(keepdims=True).item(),
        lambda _, x: (x > 0).any().item(),
    ]
    for function in functions:

        def step(x: Any, function: Any = function) -> Any:
            box.value = box.value + 1
            number = function(box.value, x)
            return number, x * number

        compiled = tg.compile(lambda x, step=step: step(x), backend)
        rows = []
        for f in (step, compiled):
            box.value = 0
            rows += [[f(np.arange(3, dtype=np.float32)) for _ in range(4)]]
        for found, expected in zip(*rows, strict=True):
            assert [*map(kind_of, found)] == [*map(kind_of, expected)]
            np.testing.assert_allclose(found[1], expected[1], rtol=1e-6)


def test_what_python_does_with_a_number_is_refused_by_the_line() -> None:
    box, table = Box(), {1: 2.0}
    functions: list[Callable[[Any], Any]] = [
        lambda t: table.get(t, 0.0),
        lambda t: float(t in {1, 2}),
        lambda t: (t + 1) ** -1,
        lambda t: t.bit_count(),
    ]
    for function in functions:

        def step(x: Any, function: Any = function) -> Any:
            box.value = box.value + 1
            return x * function(box.value)

        box.value = 0
        with pytest.raises(
            UsageError, match=r"changes a number in each run, Box\.value,.*compute with that number:\n.*"
        ):
            tg.compile(step, "numpy")(np.ones(2))
        assert box.value == 0


class OwnLocal(threading.local):
    pass


@pytest.mark.parametrize("kind", [threading.local, OwnLocal])
def test_each_thread_carries_its_own_value(backend: str, kind: type) -> None:
    local, rows = kind(), []

    def step(x: Any) -> Any:
        local.state = local.state * local.factor + x
        return local.state

    compiled = tg.compile(step, backend)

    def work(factor: float) -> None:
        for f in (step, compiled):
            local.state, local.factor = np.zeros(2), factor
            rows.append([f(np.arange(2.0) + i) for i in range(3)])

    for factor in (0.5, 0.25):
        thread = threading.Thread(target=work, args=(factor,))
        thread.start()
        thread.join()
        np.testing.assert_array_equal(rows[-1], rows[-2])


def by_hook() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    model, value = nn.Identity(), np.zeros(2)

    def hook(module: Any, inputs: Any, output: Any) -> None:
        nonlocal value
        value = 0.5 * value + output

    model.register_forward_hook(hook)
    return lambda x: model(x) * 2, lambda: value


def by_callback() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    box, state = Box(), {"mean": np.zeros(2)}
    box.value = [lambda x: state.update(mean=0.5 * state["mean"] + x)]
    return lambda x: [call(x) for call in box.value] and x * 2, lambda: state["mean"]


def by_partial() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    box, state = Box(), {"mean": np.zeros(2)}

    def hook(rate: float, x: Any) -> None:
        state["mean"] = rate * state["mean"] + x

    box.value = partial(partial(hook), 0.5)
    return lambda x: box.value(x) or x * 2, lambda: state["mean"]


def by_local() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    box = Box()
    box.value = threading.local()
    box.value.mean = np.zeros(2)
    return lambda x: setattr(box.value, "mean", box.value.mean * 0.5 + x) or x * 2, lambda: box.value.mean


def by_method_replaced() -> tuple[Callable[[Any], Any], Callable[[], Any]]:
    optimizer, box = tg.optim.SGD([tg.tensor(1.0, requires_grad=True)], lr=0.1), Box()
    box.value = np.zeros(2)
    optimizer.step = lambda: setattr(box, "value", box.value * 0.5 + 1)

    def f(x: Any) -> Any:
        optimizer.step()
        return x * 2

    return f, lambda: box.value


@pytest.mark.parametrize("holding", [by_hook, by_callback, by_partial, by_local, by_method_replaced])
def test_what_an_object_holds_may_carry_a_value(backend: str, holding: Callable[[], Any]) -> None:
    (f, expected), (g, value) = holding(), holding()
    compiled = tg.compile(g, backend)
    for i in range(3):
        np.testing.assert_array_equal(compiled(np.arange(2.0) + i), f(np.arange(2.0) + i))
        np.testing.assert_array_equal(value(), expected())


def test_arguments_that_are_kept_for_the_next_call(backend: str) -> None:
    """An array is copied; a tensor is kept itself."""
    for make in (np.array, tg.tensor, lambda x: (tg.tensor(x), np.array(x))):

        def steps(compile: Callable[[Any], Any], make: Callable[[Any], Any] = make) -> Iterator[Any]:
            box, other = Box(), Box()
            box.value = make(np.zeros(2))

            def f(x: Any) -> Any:
                difference = [a - b for a, b in zip(trees.leaves(x), trees.leaves(box.value))]
                box.value = other.value = x
                return difference

            f = compile(f)
            for i in range(3):
                x = make(np.arange(2.0) * i)
                yield f(x), box.value, other.value
                is_kept = [a is b for a, b in zip(trees.leaves(x), trees.leaves(box.value)) if isinstance(a, tg.Tensor)]
                assert all(is_kept)

        for x, y in zip(steps(lambda f: f), steps(lambda f: tg.compile(f, backend)), strict=True):
            np.testing.assert_array_equal(plain(x), plain(y))


@dataclass
class Pair:
    w: Any
    mean: Any


def test_a_value_put_into_a_container_that_is_an_argument_is_refused() -> None:
    def of_key(x: Any, into: Any) -> None:
        into["w"] = into["w"] + x

    def of_new_key(x: Any, into: Any) -> None:
        into["loss"] = tg.tensor(x) * 2

    def of_index(x: Any, into: Any) -> None:
        into[0][0] = x * 2

    def of_append(x: Any, into: Any) -> None:
        into.append([x * 2])

    def of_field(x: Any, into: Any) -> None:
        into.mean = into.w + x

    def of_attribute(x: Any, into: Any) -> None:
        into.loss = x * 2

    def of_count(x: Any, into: Any) -> None:
        into["t"] += 1

    def of_exchange(x: Any, into: Any) -> None:
        into[0], into[1] = into[1], into[0]

    arguments = {
        of_attribute: Pair(np.ones(2), None),
        of_count: {"t": 0},
        of_exchange: [np.zeros(2), np.ones(2)],
        of_key: {"w": np.ones(2)},
        of_new_key: {"w": np.ones(2)},
        of_index: [[np.ones(2)], 2],
        of_append: [],
        of_field: Pair(np.ones(2), None),
    }
    for f, into in arguments.items():
        before = copy.deepcopy(into)
        for call in (
            lambda compiled, into=into: compiled(np.ones(2), into),
            lambda c, into=into: c(np.ones(2), into=into),
        ):
            with pytest.raises(UsageError, match="puts something into an argument"):
                call(tg.compile(f, "numpy"))
        assert str(into) == str(before)


@pytest.mark.parametrize("shorten", [list.pop, deque.popleft, dict.popitem, dict.clear, list.clear])
def test_after_a_refusal_a_container_that_became_shorter_is_as_before(shorten: Callable[[Any], Any]) -> None:
    kind = shorten.__objclass__
    first = [np.zeros(2), np.ones(2), np.full(2, 2.0)]
    values = kind(enumerate(first)) if kind is dict else kind(first)

    def f(x: Any) -> Any:
        values[1], values[2] = values[1] + x, values[2] * x
        shorten(values)
        return x * len(f"{np.sum(x)}")

    with pytest.raises(UsageError, match="needs a value"):
        tg.compile(f, "numpy")(np.ones(2))
    left = [*values.values()] if kind is dict else [*values]
    assert len(left) == 3
    assert all(x is y for x, y in zip(left, first))


def counted(read: Callable[[], Any], put: Callable[[Any], None]) -> Any:
    """A step that updates its weight in each second call, as its own count says."""
    weight = tg.tensor(1.0, requires_grad=True)
    optimizer = tg.optim.Adam([weight], lr=0.1)

    def step(x: Any) -> Any:
        put(read() + 1)
        loss = (weight * x) ** 2
        loss.backward()
        if read() % 2 == 0:
            optimizer.step()
            optimizer.zero_grad()
        return loss

    return step


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_a_first_call_that_makes_the_state_of_an_optimizer_counts_once(name: Callable[[], Name]) -> None:
    """A count in Python is refused as soon as it matters, and is right until then."""
    rows = []
    for compile in (lambda f: f, lambda f: tg.compile(f, "numpy")):
        read, put = name()
        put(0)
        step, losses = compile(counted(read, put)), []
        try:
            losses += [step(np.array(1.0 + i)).item() for i in range(3)]
        except UsageError as error:
            assert "changes a number" in str(error) or "reads and changes" in str(error)  # noqa: PT017
        rows.append((losses, read()))
    (expected, _), (losses, count) = rows
    assert losses == expected[: len(losses)]
    assert count == len(losses)


def test_a_count_in_an_array() -> None:
    count, weight = np.zeros(1), tg.tensor([1.0], requires_grad=True)
    optimizer = tg.optim.Adam([weight], lr=0.1)

    def step(x: Any) -> Any:
        count[0] += 1
        loss = np.sum((weight * x) ** 2) / count[0]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return loss

    step = tg.compile(step, "numpy")
    for i in range(4):
        expected = 4 * weight.item() ** 2 / (i + 1)
        assert step(2.0).item() == pytest.approx(expected, rel=1e-12)
        assert count[0] == i + 1


def test_a_tensor_that_is_also_written_to_is_refused(backend: str) -> None:
    box, other = Box(), tg.tensor(np.zeros(3))
    box.value = other

    def writes(x: Any) -> Any:
        box.value.data = box.value.data + 1
        box.value = box.value * x

    def has_two_names(x: Any) -> Any:
        other.data = other.data + x
        box.value = box.value * 2

    for f in (writes, has_two_names):
        with pytest.raises(UsageError, match=r"in place of Box\.value.*write t\.data = \.\.\. alone"):
            tg.compile(f, backend)(np.ones(3))
        assert box.value is other
        assert not other.numpy().any()


def test_values_that_change_places(backend: str) -> None:
    """Those that NumPy alone has made, and those of other names, are replaced, too."""
    first, second = np.zeros(2), np.ones(2)

    def steps(compile: Callable[[Any], Any]) -> Iterator[Any]:
        values = {"a": first, "b": second, "pair": (np.zeros(2), np.ones(2)), "scale": np.full(2, 0.5)}

        def step(x: Any) -> Any:
            values["a"], values["b"] = values["b"] * x, values["a"]
            values["pair"] = values["scale"] * 3, values["scale"] + 1
            return np.sum(values["a"])

        step = compile(step)
        for i in range(3):
            yield step(np.arange(2.0) + i), dict(values)
        values["pair"] = np.ones(2), np.ones(2)
        values["scale"] = np.ones(2)
        yield step(np.ones(2)), dict(values)

    for x, y in zip(steps(lambda f: f), steps(lambda f: tg.compile(f, backend)), strict=True):
        for a, b in zip(plain(x), plain(y), strict=True):
            np.testing.assert_array_equal(a, b)
    for make in (np.asarray, tg.tensor):
        places = {"a": make(first), "b": make(second)}
        queue = [make(np.full(2, float(i))) for i in range(3)]

        def swap(x: Any, places: Any = places, queue: Any = queue) -> Any:
            places["a"], places["b"] = places["b"], places["a"]
            queue.append(queue.pop(0))
            return x * places["a"] + queue[0]

        swap = tg.compile(swap, backend)
        for i in range(4):
            np.testing.assert_array_equal(swap(np.ones(2)), np.full(2, (i + 1) % 2 + (i + 1) % 3))
            np.testing.assert_array_equal(places["b"], np.full(2, float(i % 2)))


def test_a_dict_of_what_hooks_saw(backend: str) -> None:
    """The tensor of the call before has a history, which no program can take in: each run overwrites it unread."""

    def histories(compile: Callable[[Any], Any], train: bool) -> list[Any]:
        model, seen, rows = nn.Sequential(nn.Linear(3, 4, rng=0), nn.Tanh(), nn.Linear(4, 2, rng=1)), {}, []
        model[1].register_forward_hook(lambda layer, inputs, result: seen.__setitem__("tanh", result))

        def step(x: Any) -> Any:
            loss = np.mean(model(x) ** 2) + 0.1 * np.mean(seen["tanh"] ** 2)
            if train:
                model.zero_grad()
                loss.backward()
                for p in model.parameters():
                    p.data = p.data - 0.1 * p.grad
            return loss

        step, data = compile(step), np.random.default_rng(0).normal(size=(6, 5, 3))
        for i, x in enumerate(data):
            rows += [step(x[: 2 + i // 4]).item(), seen["tanh"].detach().numpy()]
            if i == 3:
                seen.clear()
        return rows

    for train in (True, False):
        eager, compiled = (histories(compile, train) for compile in (lambda f: f, lambda f: tg.compile(f, backend)))
        for x, y in zip(compiled, eager, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)


def test_a_sum_of_what_hooks_saw(backend: str) -> None:
    """A layer's call says of the array that cannot be written into that the layer cannot take its input."""

    def sums(compile: Callable[[Any], Any]) -> Any:
        total, layer = np.zeros(2), nn.Linear(3, 2, rng=0)

        def add(layer: Any, inputs: Any, result: Any) -> None:
            total[:] += result.detach().numpy().sum(axis=0)

        layer.register_forward_hook(add)
        step = compile(lambda x: np.mean(layer(tg.tensor(x))).detach())
        return [(step(np.full((2, 3), float(i))).item(), *total) for i in range(4)]

    np.testing.assert_allclose(sums(lambda f: tg.compile(f, backend)), sums(lambda f: f), rtol=1e-12)


W = tg.tensor(np.ones(3), requires_grad=True)


@pytest.mark.parametrize(
    "hand_on",
    [
        lambda seen, y: seen["y"],
        lambda seen, y: seen.__setitem__("before", seen["y"]),
        lambda seen, y: setattr(seen["box"], "value", seen["y"]),
    ],
)
def test_a_tensor_with_a_history_is_not_handed_on(backend: str, hand_on: Callable[[Any, Any], Any]) -> None:
    seen = {"y": W * 1.0, "before": None, "box": Box()}

    def f(x: Any) -> Any:
        before = hand_on(seen, x)
        seen["y"] = W * x
        return before

    with pytest.raises(UsageError, match=r"hands on a tensor with a history|takes in no history|keeps what it comp"):
        tg.compile(f, backend)(np.ones(3))


@pytest.mark.long
@pytest.mark.parametrize("view", [lambda x: x.T, lambda x: x[:], lambda x: x.reshape(-1).reshape(2, 2)])
@pytest.mark.parametrize("of", ["value", "fixed"])
def test_a_view_is_not_left_where_arrays_are_written_into(backend: str, view: Callable[[Any], Any], of: str) -> None:
    box = Box()
    box.value, box.other, box.fixed = np.eye(2), np.zeros((2, 2)), np.ones((2, 2))

    def f(x: Any, in_place: bool) -> Any:
        if in_place:
            box.value += x
        else:
            box.value = box.value + x
        y = box.other * 2
        box.other = view(getattr(box, of))
        return y + box.value

    with pytest.raises(UsageError, match="leaves a view of an array"):
        tg.compile(f, backend)(np.ones((2, 2)), True)
    compiled = tg.compile(f, backend)
    for i in range(3):
        np.testing.assert_array_equal(box.value, np.eye(2) + i)
        compiled(np.ones((2, 2)), False)


CHANGES = {
    list: (
        "c.append({})",
        "c.insert(0, {})",
        "c.pop()",
        "c.pop(0)",
        "c.reverse()",
        "c.append(c.pop(0))",
        "c.pop(); c.insert(0, {})",
        "c[0:1] = [{}, {}]",
        "c[-1] = {}; c.append({})",
        "c[:] = [{} for _ in c]",
        "c[0] = c[1]",
        "c.clear()",
    ),
    partial(deque, maxlen=5): ("c.append({})", "c.appendleft({})", "c.popleft()", "c.rotate(1)", "c.extend([{}, {}])"),
    dict: (
        "c[0] = {}",
        "c[len(c)] = {}",
        "c.setdefault(7, {})",
        "c.pop(0, None)",
        "c.popitem()",
        "c[0], c[1] = c[1], c[0]",
        "c[0] = c.pop(0, {})",
    ),
}


@pytest.mark.long
@pytest.mark.parametrize("kind", CHANGES, ids=["list", "deque", "dict"])
@pytest.mark.parametrize("value", ["x * 2", "x.sum().item()", "'text'"])
@pytest.mark.parametrize("of", [float, lambda i: np.full(2, i), lambda i: tg.tensor([i, i], requires_grad=True)])
def test_containers_that_a_function_changes(kind: Any, value: str, of: Callable[[float], Any]) -> None:
    """As eagerly, or refused; except that a text that is only added is not added again."""

    def rows(change: str, compile: Callable[[Any], Any]) -> list[Any]:
        first = [of(float(i)) for i in range(3)]
        box = Box()
        box.kept = c = kind(enumerate(first) if kind is dict else first)
        scope: dict[str, Any] = {"box": box}
        total = "sum(y for y in (c.values() if type(c) is dict else c) if type(y) is not str)"
        lines = ("def f(x):", "c = box.kept", f"r = x + {total}", change.format(value, value), "return r")
        exec("\n    ".join(lines), scope)
        f, seen = compile(scope["f"]), []
        for i in range(6):
            held = [*c.items()] if kind is dict else [*c]
            try:
                seen.append((numbers(f(np.array([i, 0.5 * i]))), numbers(c)))
            except UsageError:
                assert all(map(is_, trees.leaves(held), trees.leaves([*c.items()] if kind is dict else [*c])))
                break
            except (LookupError, TypeError):
                break
        return seen

    def numbers(x: Any) -> list[Any]:
        leaves = trees.leaves([*x.items()] if isinstance(x, dict) else [*x] if isinstance(x, deque) else x)
        return [y if isinstance(y, str) else np.array(y.numpy() if isinstance(y, tg.Tensor) else y) for y in leaves]

    for change in CHANGES[kind]:
        eager, compiled = rows(change, lambda f: f), rows(change, lambda f: tg.compile(f, "numpy"))
        for (result, after), (expected, expected_after) in zip(compiled, eager):
            np.testing.assert_equal(result, expected, change)
            if value != "'text'" or not any(word in change for word in ("append", "len", "setdefault")):
                np.testing.assert_equal(after, expected_after, change)


@pytest.mark.parametrize("make", [np.zeros, lambda n: tg.tensor(np.zeros(n))])
def test_values_that_begin_as_one_object(backend: str, make: Callable[[int], Any]) -> None:
    """As h and c of an LSTM that begins with the same zeros."""
    box, other = Box(), Box()
    box.value = other.value = make(2)

    def f(x: Any) -> Any:
        box.value = box.value * 0.5 + x
        other.value = other.value * 0.9 + x * x
        return box.value + other.value

    f = tg.compile(f, backend)
    h = c = np.zeros(2)
    for i in range(4):
        x = np.arange(2.0) + i
        h, c = h * 0.5 + x, c * 0.9 + x * x
        np.testing.assert_allclose(f(x), h + c)
        np.testing.assert_allclose(other.value, c)


def test_a_value_of_which_a_part_is_replaced_as_well_is_refused() -> None:
    box, pair = Box(), Box()
    pair.value = np.zeros(3)
    box.value = {"pair": pair.value, "values": [np.ones(3)]}
    before = box.value

    def f(x: Any) -> Any:
        box.value["values"][0] = box.value["values"][0] + x
        box.value = {"pair": box.value["pair"] + 1, "values": box.value["values"]}

    with pytest.raises(UsageError, match=r"in place of a part of it: do only one of the two|assigns Box\.value"):
        tg.compile(f, "numpy")(np.ones(3))
    assert box.value is before
    np.testing.assert_array_equal(before["values"], [np.ones(3)])


def test_a_state_with_a_history_is_to_be_detached(backend: str) -> None:
    cell, box = nn.GRUCell(2, 3, rng=0), Box()
    box.value = tg.tensor(np.zeros((1, 3)))

    def f(x: Any) -> Any:
        box.value = cell(x, box.value)
        return box.value

    compiled, x = tg.compile(f, backend), np.ones((1, 2))
    for _ in range(3):
        np.sum(compiled(x)).backward()
        box.value = box.value.detach()
    compiled(x)
    with pytest.raises(UsageError, match=r"write self\.value = self\.value\.detach\(\) after the reverse pass"):
        compiled(x)


class Fast(nn.Module):
    """A model that is copied, trained for some steps and averaged with."""

    def __init__(self) -> None:
        self.body = nn.Sequential(
            nn.Linear(3, 4, bias=False, rng=0), nn.BatchNorm1d(4), nn.Tanh(), nn.Linear(4, 1, rng=1)
        )
        self.factor = 2.0

    def forward(self, x: Any) -> Any:
        return self.body(x) * self.factor


def fast_steps(compile: Callable[[Any], Any]) -> Iterator[Any]:
    model = Fast()
    outer = tg.optim.Adam(model.parameters(), lr=0.01)
    rng = np.random.default_rng(0)

    def step(x: Any, y: Any) -> Any:
        fast, optimizer = copy.deepcopy((model, outer))
        loss = F.mse_loss(fast(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        outer.zero_grad()
        F.mse_loss(model(x), y).backward()
        outer.step()
        state, others = model.state_dict(), copy.copy(fast).state_dict()
        model.load_state_dict({name: (0.5 * (state[name] + others[name])).astype(state[name].dtype) for name in state})
        return loss

    step = compile(step)
    for _ in range(4):
        yield step(rng.normal(size=(6, 3)), rng.normal(size=(6, 1)))
    model.factor, model.body[2] = 0.5, nn.ReLU()
    outer.param_groups[0]["lr"] = 0.1
    yield step(rng.normal(size=(6, 3)), rng.normal(size=(6, 1)))
    model.eval()
    yield step(rng.normal(size=(6, 3)), rng.normal(size=(6, 1)))
    yield list(model.parameters())


def test_copies_that_a_function_makes(backend: str) -> None:
    for expected, value in zip(fast_steps(lambda f: f), fast_steps(lambda f: tg.compile(f, backend)), strict=True):
        for x, y in zip(plain(value), plain(expected), strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-9)


class Named:
    """One that is not copied."""

    factor = 2.0

    def __reduce__(self) -> str:
        return "the_only_one"


def test_copies_of_what_holds_a_carried_value(backend: str) -> None:
    def steps(compile: Callable[[Any], Any]) -> Iterator[Any]:
        box, other = Box(), Box()
        box.value, box.named, other.value = np.zeros(2), Named(), {"mean": np.ones(2), "rate": 0.5}

        def f(x: Any) -> Any:
            before, others = copy.copy(box), copy.deepcopy(vars(other))
            box.value = box.value + x
            other.value = {"mean": others["value"]["mean"] * others["value"]["rate"] + x, "rate": 0.5}
            after = copy.deepcopy(box)
            return (after.value - before.value) * after.named.factor

        f = compile(f)
        for i in range(3):
            yield f(np.arange(2.0) + i), box.value, other.value["mean"]
        box.named.factor = 3.0
        yield f(np.arange(2.0)), box.value, other.value["mean"]

    for x, y in zip(steps(lambda f: f), steps(lambda f: tg.compile(f, backend)), strict=True):
        np.testing.assert_array_equal(x, y)


def test_a_copy_of_a_generator_is_refused() -> None:
    model = nn.Dropout(0.5, rng=0)
    with pytest.raises(UsageError, match="copies Dropout with the generator"):
        tg.compile(lambda x: copy.deepcopy(model)(x), "numpy")(np.ones(3))


def test_the_arrays_of_tensors_are_followed(backend: str) -> None:
    weight = tg.tensor([1.0, 2.0, 4.0], requires_grad=True)

    def f(x: Any) -> Any:
        y = tg.tensor(weight.numpy() * x.numpy(), requires_grad=True)
        (y * weight).sum().backward()
        return np.log(y.numpy()), y.grad

    compiled = tg.compile(f, backend)
    for i in range(1, 4):
        weight.grad = None
        expected = plain(f(tg.tensor(np.ones(3) * i)))
        weight.grad, before = None, weight.grad.numpy()
        for x, y in zip(plain(compiled(tg.tensor(np.ones(3) * i))), expected, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
        np.testing.assert_allclose(weight.grad.numpy(), before, rtol=1e-12)


def test_a_branch_that_leaves_an_array_alone_follows_what_another_branch_puts_there(backend: str) -> None:
    """Its program is not recorded anew for each array that is there."""

    def outcomes(compile: Callable[[Any], Any]) -> Any:
        state: dict[str, Any] = {"slow": np.zeros(3), "fast": np.ones(3), "turn": 0, "pair": (np.ones(2), np.zeros(2))}

        def step(x: Any) -> Any:
            state["fast"] = state["fast"] + x
            state["turn"] += 1
            if state["turn"] % 3 == 0:
                state["slow"] = state["slow"] + 0.5 * (state["fast"] - state["slow"])
                state["pair"] = (state["pair"][0] * 2, state["pair"][1] + x[0])
            return state["fast"].sum()

        compiled = compile(step)
        results = [(compiled(np.ones(3) * i), *map(np.copy, trees.leaves(state))) for i in range(12)]
        return results, compiled

    (found, compiled), (expected, _) = outcomes(lambda f: tg.compile(f, backend)), outcomes(lambda f: f)
    for those, others in zip(found, expected, strict=True):
        for x, y in zip(those, others, strict=True):
            np.testing.assert_allclose(x, y, rtol=1e-12)
    assert sum(map(len, compiled._runs.values())) <= 4


class Lazy(nn.Module):
    """A module that makes what it needs when it first sees an input."""

    scale: Any = None

    def __init__(self) -> None:
        self.layers: Any = None
        self.rng: Any = None

    def forward(self, x: Any) -> Any:
        if self.layers is None:
            self.layers = [nn.Linear(x.shape[1], 3, rng=i) for i in range(1)]
        if not hasattr(self, "output"):
            self.output = nn.Linear(3, 1, rng=2)
        if self.scale is None:
            self.scale = nn.Parameter(np.ones(1))
        if self.rng is None:
            self.rng = np.random.default_rng(3)
        return self.scale * self.output(np.tanh(self.layers[0](x))) + self.rng.normal()


def test_what_the_first_call_finds_missing_is_made_then(backend: str) -> None:
    def training() -> tuple[Any, nn.Module]:
        model = Lazy()
        optimizer = None

        def step(x: Any) -> Any:
            nonlocal optimizer
            loss = np.mean(model(x) ** 2)
            if optimizer is None:
                optimizer = tg.optim.Adam(model.parameters())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return loss

        return step, model

    (step, expected), (compiled, model) = training(), training()
    compiled = tg.compile(compiled, backend)
    x = np.arange(6.0).reshape(3, 2)
    for turn in range(5):
        np.testing.assert_allclose(compiled(x).numpy(), step(x).numpy())
        for y, z in zip(model.parameters(), expected.parameters(), strict=True):
            np.testing.assert_allclose(y.numpy(), z.numpy())
        if turn == 0:
            with pytest.raises(UsageError, match="no recording yet: its call has made optimizer: call it once more"):
                _ = compiled.source
    assert sum(map(len, compiled._runs.values())) == 2
    assert "lr" in compiled.source


def test_what_is_missing_in_each_call_is_refused() -> None:
    box = Box()

    def f(x: Any) -> Any:
        if box.value is None:
            box.value = Weights(2.0, 0, 0)
        return x * box.value.w

    compiled = tg.compile(f, "numpy")
    assert compiled(np.ones(2)).tolist() == [2, 2]
    box.value = None
    with pytest.raises(UsageError, match=r"finds no Box\.value, and makes it, in more than one call"):
        compiled(np.ones(2))
