"""What a recording read from Python's own objects is followed: a change of it, and only that, makes a new program."""

# ruff: noqa: NPY002  # what users draw from is tested

import os
import pickle
import random
import threading
import time
import weakref
from argparse import Namespace
from array import array
from collections import ChainMap, OrderedDict, UserDict, UserList, deque
from collections.abc import Callable
from contextvars import ContextVar
from copy import copy, deepcopy
from ctypes import c_double
from dataclasses import dataclass
from functools import partial, wraps
from os import environ, getenv
from types import MappingProxyType, SimpleNamespace
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import pytest

import tinygrad_lite as tg
from tests.compiler import outside
from tinygrad_lite import nn, optim
from tinygrad_lite.compiler.compiled import Compiled
from tinygrad_lite.data import DataLoader
from tinygrad_lite.errors import UsageError

pytestmark = pytest.mark.filterwarnings("ignore:.*was recorded 5 times")

X = np.array([1.0, -2.0, 3.0])
SCALE = 2.0
TABLE = {"scale": 2.0, "other": 1.0}
DEEP = {"first": [{"scale": 2.0}]}


def recordings(f: Compiled) -> int:
    return sum(map(len, f._runs.values()))


class Plain:
    kind = 2.0

    def __init__(self) -> None:
        self.scale = 2.0
        self.other = 1.0
        self.rates = [2.0, 3.0]
        self.inner: Any = None
        self.library: Any = None

    @property
    def twice(self) -> float:
        return 2 * self.scale

    def __call__(self, x: Any) -> Any:
        return x * self.scale * SCALE

    def method(self, x: Any) -> Any:
        return x * self.scale

    @staticmethod
    def static(x: Any) -> Any:
        return x * SCALE

    @classmethod
    def of_the_class(cls, x: Any) -> Any:
        return x * cls.kind

    def __getattr__(self, name: str) -> Any:
        if name == "made_up":
            return SCALE
        raise AttributeError(name)

    def __iter__(self) -> Any:
        return iter([self.scale, SCALE])


class Derived(Plain):
    def method(self, x: Any) -> Any:
        return super().method(x) * 2


class Computed:
    """A descriptor."""

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return SCALE


class Answering(dict[str, float]):
    """Attributes that are entries; what there is not is a KeyError."""

    __getattr__ = dict.__getitem__


class Keeping:
    """A descriptor that keeps what it is given."""

    def __init__(self) -> None:
        self.values: Any = weakref.WeakKeyDictionary()

    def __get__(self, owner: Any, kind: Any = None) -> Any:
        return self.values[owner]

    def __set__(self, owner: Any, value: Any) -> None:
        self.values[owner] = value


def described() -> Any:
    """An object whose class nobody else has: what a descriptor keeps of another would go when that is collected."""

    class Describing:
        computed = Computed()
        kept = Keeping()

        def __init__(self) -> None:
            self.kept = 2.0

    return Describing()


class Slotted:
    __slots__ = ("scale",)

    def __init__(self) -> None:
        self.scale = 2.0


@dataclass
class Record:
    scale: float = 2.0


@dataclass
class Holding:
    """Has no special method that names anything."""

    x: Any
    rate = 2.0

    def scaled(self) -> Any:
        return self.x * SCALE

    def rated(self) -> Any:
        return self.x * self.rate


class Calling(Holding):
    def scaled(self) -> Any:
        return super().scaled() + self.x


class Named(NamedTuple):
    x: Any

    def scaled(self) -> Any:
        return self.x * SCALE


class Made:
    scale: float

    def __new__(cls) -> Any:
        made = object.__new__(cls)
        made.scale = SCALE
        return made


def by_global(x: Any) -> Any:
    return x * SCALE


def read_scale(thing: Any) -> Any:
    return thing.SCALE


def decorated(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
    @wraps(f)
    def inner(x: Any) -> Any:
        return f(x) + TABLE["scale"]

    return inner


@decorated
def behind_a_decorator(x: Any) -> Any:
    return x * SCALE


def _set(owner: Any, name: str) -> Callable[[float], None]:
    return lambda value: setattr(owner, name, value)


def _put(owner: Any, key: Any) -> Callable[[float], None]:
    return lambda value: owner.__setitem__(key, value)


def _global(value: float) -> None:
    global SCALE
    SCALE = value


def _cases() -> dict[str, tuple[Callable[[Any], Any], Callable[[float], None]]]:
    """Functions that read a number somewhere, each with a function that changes it."""
    p, slotted, record, simple, parsed = Plain(), Slotted(), Record(), SimpleNamespace(scale=2.0), Namespace(scale=2.0)
    p.inner, p.library, numbers, queue = Plain(), outside, [2.0, 3.0], deque([2.0])
    derived, describing = Derived(), described()
    ordered = OrderedDict(scale=2.0)
    own = {"f": by_global, "scale": 2.0}
    answering, user_dict, user_list, own_memory = (
        Answering(scale=2.0),
        UserDict(scale=2.0),
        UserList([2.0]),
        array("d", [2.0]),
    )
    behind, local, variable, number = {"scale": 2.0}, threading.local(), ContextVar("scale", default=2.0), c_double(2.0)
    chain, read_only, viewed = ChainMap({}, behind), MappingProxyType(behind), np.array([2.0])
    get, view = behind.get, memoryview(viewed)
    reference, proxy = weakref.ref(p), weakref.proxy(p)
    frame = pd.DataFrame({"scale": [2.0, 2.0], "name": ["a", "b"]})
    series = pd.Series([2.0, 3.0])
    weak = weakref.WeakKeyDictionary({p: 2.0})
    local.scale = 2.0
    closed = 2.0

    def imported(x: Any) -> Any:
        from tests.compiler import outside as module

        return x * sum(module.SCALE for _ in range(1))

    def imported_from(x: Any) -> Any:
        from tests.compiler.outside import SCALE as scale

        return x * scale

    def close(value: float) -> None:
        nonlocal closed
        closed = value

    def outer(x: Any) -> Any:
        def within(y: Any) -> Any:
            return y * closed

        return within(x)

    def by_default(x: Any, settings: Any = own) -> Any:
        return x * settings["scale"]

    def marked(x: Any) -> Any:
        return x * marked.scale  # type: ignore[attr-defined]

    marked.scale = 2.0  # type: ignore[attr-defined]
    step: Any = tg.compile(lambda x: x * step.scale, "numpy")
    step.scale = 2.0
    part = partial(lambda x, scale: x * scale, scale=2.0)
    calling, named = Calling(2.0), Named(2.0)

    def locally(x: Any) -> Any:
        settings = p.inner
        return x * getattr(settings, "scale")  # noqa: B009

    class Model(nn.Module):
        def __init__(self) -> None:
            self.settings = {"scale": 2.0}
            self.scale = 2.0

        def forward(self, x: Any) -> Any:
            return x * self.settings["scale"] * SCALE

    model = nn.Sequential(Model(), nn.ReLU())
    return {
        "global": (lambda x: x * SCALE, _global),
        "global of a callee": (lambda x: by_global(x), _global),
        "global of a partial": (partial(lambda y, x: by_global(x) + y, 1.0), _global),
        "global behind a decorator": (behind_a_decorator, _global),
        "global of a wrapper": (behind_a_decorator, _put(TABLE, "scale")),
        "global of a lambda in a dict": (lambda x: own["f"](x), _global),
        "global of a method": (p, _global),
        "global of a module's forward": (model, _global),
        "global in a comprehension": (lambda x: sum(x * SCALE for _ in range(2)), _global),
        "closure": (lambda x: x * closed, close),
        "closure of an inner function": (outer, close),
        "attribute": (lambda x: x * p.scale, _set(p, "scale")),
        "attribute of an attribute": (lambda x: x * p.inner.scale, _set(p.inner, "scale")),
        "attribute by getattr": (locally, _set(p.inner, "scale")),
        "attribute of self": (p.method, _set(p, "scale")),
        "attribute behind a property": (lambda x: x * p.twice, _set(p, "scale")),
        "attribute of a class": (lambda x: x * Plain.kind, _set(Plain, "kind")),
        "attribute of a class by an object": (lambda x: x * p.kind, _set(Plain, "kind")),
        "attribute read by a base class": (derived.method, _set(derived, "scale")),
        "attribute of a class in its method": (lambda x: Plain.of_the_class(x), _set(Plain, "kind")),
        "attribute in iteration": (lambda x: x * sum(p), _set(p, "scale")),
        "global of a static method": (lambda x: Plain.static(x), _global),
        "global of a special method": (lambda x: x * p.made_up, _global),
        "global of a descriptor": (lambda x: x * describing.computed, _global),
        "what a descriptor keeps": (lambda x: x * describing.kept, _set(describing, "kept")),
        "global of a compiled function": (tg.compile(by_global, "numpy"), _global),
        "attribute of a function": (marked, _set(marked, "scale")),
        "attribute of a compiled function": (lambda x: step(x), _set(step, "scale")),
        "keyword of a partial": (lambda x: part(x), _put(part.keywords, "scale")),
        "global of a method that is inherited": (lambda x: x * calling.scaled(), _global),
        "global of a named tuple": (lambda x: x * named.scaled(), _global),
        "global of a record that is made inside": (lambda x: Holding(x).scaled(), _global),
        "global of an inherited method of what is made inside": (lambda x: Calling(x).scaled(), _global),
        "global of a named tuple that is made inside": (lambda x: Named(x).scaled(), _global),
        "global when an object is made": (lambda x: x * Made().scale, _global),
        "attribute of the class of what is made inside": (lambda x: Holding(x).rated(), _set(Holding, "rate")),
        "attribute in a slot": (lambda x: x * slotted.scale, _set(slotted, "scale")),
        "attribute of a dataclass": (lambda x: x * record.scale, _set(record, "scale")),
        "attribute of a namespace": (lambda x: x * simple.scale, _set(simple, "scale")),
        "attribute of arguments": (lambda x: x * parsed.scale, _set(parsed, "scale")),
        "module": (lambda x: x * outside.SCALE, _set(outside, "SCALE")),
        "module of a callee": (lambda x: outside.scaled(x), _set(outside, "SCALE")),
        "dict": (lambda x: x * TABLE["scale"], _put(TABLE, "scale")),
        "dict by get": (lambda x: x * TABLE.get("scale", 1.0), _put(TABLE, "scale")),
        "dict of lists": (lambda x: x * DEEP["first"][0]["scale"], _put(DEEP["first"][0], "scale")),
        "dict, all of it": (lambda x: x * sum(ordered.values()), _put(ordered, "scale")),
        "list": (lambda x: x * numbers[0], _put(numbers, 0)),
        "list, all of it": (lambda x: x * sum(numbers), _put(numbers, 1)),
        "list of an attribute": (lambda x: x * p.rates[1], _put(p.rates, 1)),
        "deque": (lambda x: x * queue[0], _put(queue, 0)),
        "default": (by_default, _put(own, "scale")),
        "dict of a module": (model, _put(model[0].settings, "scale")),
        "attribute that is an entry": (lambda x: x * answering.scale, _put(answering, "scale")),
        "attribute by vars": (lambda x: x * vars(p)["scale"], _set(p, "scale")),
        "attribute behind a weak reference": (lambda x: x * reference().scale, _set(p, "scale")),
        "entry of a weak dict": (lambda x: x * weak[p], _put(weak, p)),
        "attribute behind a proxy": (lambda x: x * proxy.scale, _set(p, "scale")),
        "attribute of a thread": (lambda x: x * local.scale, _set(local, "scale")),
        "variable of a context": (lambda x: x * variable.get(), variable.set),
        "module by another name": (lambda x: x * read_scale(outside), _set(outside, "SCALE")),
        "module that is an attribute": (lambda x: x * p.library.SCALE, _set(outside, "SCALE")),
        "module imported inside": (imported, _set(outside, "SCALE")),
        "name imported inside": (imported_from, _set(outside, "SCALE")),
        "dict of the user's": (lambda x: x * user_dict["scale"], _put(user_dict, "scale")),
        "list of the user's": (lambda x: x * user_list[0], _put(user_list, 0)),
        "dict by a bound method": (lambda x: x * get("scale"), _put(behind, "scale")),
        "dict of a chain": (lambda x: x * chain["scale"], _put(behind, "scale")),
        "chain": (lambda x: x * chain["scale"], _put(chain, "scale")),
        "dict behind a view": (lambda x: x * read_only["scale"], _put(behind, "scale")),
        "array of Python": (lambda x: x * own_memory[0], _put(own_memory, 0)),
        "view of memory": (lambda x: x * view[0], _put(viewed, 0)),
        "number of C": (lambda x: x * number.value, _set(number, "value")),
        "frame": (lambda x: x * frame["scale"].iloc[0], lambda value: frame.__setitem__("scale", [value, 2.0])),
        "series": (lambda x: x * float(series[0]), _put(series, 0)),
    }


CASES = list(_cases())
EACH_VALUE = {
    *("attribute of a class", "attribute of a class by an object", "attribute of a class in its method"),
    *("attribute of the class of what is made inside", "attribute in a slot", "variable of a context"),
    *("array of Python", "view of memory", "number of C", "frame", "series"),
}
"""Where a number has a program for each of its values."""


@pytest.fixture(autouse=True)
def _restored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outside, "SCALE", 2.0)
    monkeypatch.setattr(Plain, "kind", 2.0)
    monkeypatch.setattr(Holding, "rate", 2.0)
    monkeypatch.setitem(globals(), "SCALE", 2.0)
    monkeypatch.setitem(TABLE, "scale", 2.0)
    monkeypatch.setitem(DEEP["first"][0], "scale", 2.0)


@pytest.mark.long
@pytest.mark.parametrize("case", CASES)
def test_a_number_that_changes(case: str) -> None:
    f, change = _cases()[case]
    compiled = tg.compile(f, "numpy")
    for value in (2.0, 2.0, 5.0, 5.0, 2.0, 0.0, -0.0, float("nan")):
        change(value)
        for _ in range(2):
            found, expected = compiled(X), f(X)
            np.testing.assert_array_equal(found, expected)
            np.testing.assert_array_equal(np.signbit(found), np.signbit(expected))
    programs = 5 if case in EACH_VALUE else 2  # with its second value, a number becomes an input
    assert recordings(compiled) == programs
    change(2.0 + 3.0)
    compiled(X)
    assert recordings(compiled) == programs


@pytest.mark.parametrize("case", ["global", "attribute", "list", "module of a callee"])
def test_a_number_that_changes_natively(case: str) -> None:
    f, change = _cases()[case]
    compiled = tg.compile(f, "native")
    for value in (2.0, 2.0, 5.0, 5.0, 2.0):
        change(value)
        np.testing.assert_array_equal(compiled(X), f(X))


def _written_anew() -> dict[str, tuple[Callable[[Any], Any], Callable[[], None]]]:
    """Functions, each with a change of the code that they run; the classes are new ones in each call."""

    class Base:
        def method(self, x: Any) -> Any:
            return x * 2

        @property
        def computed(self) -> float:
            return 2.0

        @staticmethod
        def static(x: Any) -> Any:
            return x * 2

        @classmethod
        def of_the_class(cls, x: Any) -> Any:
            return x * 2

        def __call__(self, x: Any) -> Any:
            return x * 2

        __radd__ = __call__

        def __getattr__(self, name: str) -> float:
            return 2.0

    class Other(Base):
        def method(self, x: Any) -> Any:
            return super().method(x)

    class Late(Base):
        pass

    class Model(nn.Module):
        def __init__(self) -> None:
            self.layer = nn.Linear(3, 2, rng=0)

        def forward(self, x: Any) -> Any:
            return self.layer(x)

    def helper(x: Any, scale: float = 2.0, *, other: float = 2.0) -> Any:
        return x * scale * other

    def another(x: Any) -> Any:
        return x * 3

    def another_with_self(self: Any, x: Any) -> Any:
        return x * 3

    weight = tg.tensor([1.0, 2.0, 3.0], requires_grad=True)
    optimizer = optim.SGD([weight], lr=0.5)

    def stepped() -> Any:
        weight.data = np.array([1.0, 2.0, 3.0])
        weight.grad = np.ones(3)
        optimizer.step()
        return weight.data + 0

    p, other, late, model = Base(), Other(), Late(), Model()
    return {
        "code": (lambda x: helper(x), _set_once(helper, "__code__", another.__code__)),
        "default": (lambda x: helper(x), _set_once(helper, "__defaults__", (3.0,))),
        "default of a keyword": (lambda x: helper(x), _put_once(helper.__kwdefaults__, "other", 3.0)),
        "defaults of keywords": (lambda x: helper(x), _set_once(helper, "__kwdefaults__", {"other": 3.0})),
        "method": (lambda x: p.method(x), _set_once(Base, "method", another_with_self)),
        "property": (lambda x: x * p.computed, _set_once(Base, "computed", property(lambda self: 3.0))),
        "static method": (lambda x: p.static(x), _set_once(Base, "static", staticmethod(another))),
        "class method": (lambda x: p.of_the_class(x), _set_once(Base, "of_the_class", classmethod(another_with_self))),
        "special method": (lambda x: p(x), _set_once(Base, "__call__", another_with_self)),
        "special method with the name of another": (
            lambda x: x * (1.0 + p),
            _set_once(Base, "__radd__", another_with_self),
        ),
        "attributes that are not there": (lambda x: x * p.rate, _set_once(Base, "__getattr__", lambda self, name: 3.0)),
        "method that a method calls": (lambda x: other.method(x), _set_once(Base, "method", another_with_self)),
        "method of the derived class": (lambda x: late.method(x), _set_once(Late, "method", another_with_self)),
        "method of what is made inside": (lambda x: Base().method(x), _set_once(Base, "method", another_with_self)),
        "attribute before a method": (lambda x: p.method(x), _set_once(p, "method", another)),
        "attribute before a static method": (lambda x: p.static(x), _set_once(p, "static", another)),
        "attribute before a class method": (lambda x: p.of_the_class(x), _set_once(p, "of_the_class", another)),
        "forward of a model": (lambda x: model(x), _set_once(model, "forward", another)),
        "forward of a layer": (lambda x: model(x), _set_once(model.layer, "forward", another)),
        "step of an optimizer": (lambda x: stepped(), _set_once(optimizer, "step", lambda: None)),
        "update of an optimizer": (lambda x: stepped(), _set_once(optimizer, "update", lambda w, *_: w * 3)),
        "forward of the model's class": (lambda x: model(x), _set_once(Model, "forward", another_with_self)),
    }


def _set_once(owner: Any, name: str, value: Any) -> Callable[[], None]:
    return lambda: setattr(owner, name, value)


def _put_once(owner: Any, key: Any, value: Any) -> Callable[[], None]:
    return lambda: owner.__setitem__(key, value)


def numbers_of(x: Any) -> Any:
    return x.numpy() if isinstance(x, tg.Tensor) else x


@pytest.mark.long
@pytest.mark.parametrize("case", [*_written_anew()])
def test_code_that_is_written_anew(case: str) -> None:
    f, change = _written_anew()[case]
    compiled = tg.compile(f, "numpy")
    before = [numbers_of(compiled(X)) for _ in range(3)][-1]
    change()
    for _ in range(2):
        found, expected = numbers_of(compiled(X)), numbers_of(f(X))
        np.testing.assert_array_equal(found, expected)
        assert not np.array_equal(found, before)
    assert recordings(compiled) == 2


@pytest.mark.parametrize("has", [hasattr, lambda p, name: getattr(p, name, None) is not None])
def test_an_attribute_that_comes_later(has: Callable[[Any, str], bool]) -> None:
    p: Any = Record()
    f = tg.compile(lambda x: x * p.late if has(p, "late") else -x, "numpy")
    for change in (lambda: None, partial(setattr, p, "late", 3.0), partial(delattr, p, "late")):
        change()
        for _ in range(2):
            np.testing.assert_array_equal(f(X), X * p.late if has(p, "late") else -X)
    assert recordings(f) == 2


KEPT: dict[str, tuple[Any, Callable[[Any], Any]]] = {
    "a list": ([1.0, 2.0, 3.0], lambda kept: kept.pop(0)),
    "a long list": ([1.0 * i for i in range(200)], lambda kept: kept.pop()),
    "a deque": (deque([1.0, 2.0, 3.0]), lambda kept: kept.popleft()),
    "a dict": ({"a": 1.0, "b": 2.0, "c": 3.0}, lambda kept: kept.popitem()[1]),
    "a set": ({1.0, 2.0, 3.0}, lambda kept: kept.pop()),
}


@pytest.mark.parametrize("case", KEPT)
def test_containers_get_back_what_a_refused_function_took(case: str) -> None:
    kept, take = KEPT[case]
    before = repr(kept)
    with pytest.raises(UsageError, match="takes entries out of kept, or moves them"):
        tg.compile(lambda x: x * take(kept), "numpy")(X)
    assert repr(kept) == before


def test_large_memory_and_long_frames_are_compared_in_some_places() -> None:
    memory, frame = (
        bytearray(2_000_000),
        pd.DataFrame({"a": np.zeros(5000), "b": pd.date_range("2020", periods=5000, tz="UTC")}),
    )
    f = tg.compile(lambda x: x * max(memory) + frame["a"].max() + len(frame["b"]), "numpy")
    for change in (
        lambda: None,
        lambda: memory.__setitem__(slice(None), b"\x01" * 2_000_000),
        lambda: frame.update(frame[["a"]] + 3),
    ):
        change()
        for _ in range(2):
            np.testing.assert_array_equal(f(X), X * max(memory) + frame["a"].max() + len(frame["b"]))
    assert recordings(f) == 3
    memory += b"\x02"  # nobody holds its memory


def test_objects_as_arguments() -> None:
    f = lambda p, x: x * p.scale  # noqa: E731
    compiled = tg.compile(f, "numpy")
    for kind in (Plain, Slotted, lambda: SimpleNamespace(scale=2.0)):
        one, other = kind(), kind()
        other.scale = 7.0
        for p in (one, one, other, one):
            np.testing.assert_array_equal(compiled(p, X), X * p.scale)
            p.scale += 1.0
            np.testing.assert_array_equal(compiled(p, X), X * p.scale)


def test_what_is_not_read_does_not_count() -> None:
    p, log = Plain(), [1]
    f = tg.compile(lambda x: x * p.scale * TABLE["scale"] * p.method(x), "numpy")
    for i in range(6):
        p.other, p.inner, TABLE["other"] = float(i), Plain(), float(i)
        p.rates.append(1.0), log.append(i)
        f(X)
    assert recordings(f) == 1


class Stack(nn.Module):
    def __init__(self) -> None:
        self.layers = [nn.Linear(3, 3, rng=0)]
        self.named = {"a": nn.Linear(3, 3, rng=1)}
        self.nested = ([nn.Linear(3, 3, rng=2)],)

    def forward(self, x: Any) -> Any:
        for layer in (*self.layers, *self.named.values(), *self.nested[0]):
            x = layer(x)
        return x


CHANGES: dict[str, Callable[[Stack], Any]] = {
    "replaced in a list": lambda m: m.layers.__setitem__(0, nn.Linear(3, 3, rng=10)),
    "appended to a list": lambda m: m.layers.append(nn.Linear(3, 3, rng=11)),
    "removed from a list": lambda m: m.layers.pop(),
    "replaced in a dict": lambda m: m.named.update(a=nn.Linear(3, 3, rng=12)),
    "added to a dict": lambda m: m.named.update(b=nn.Linear(3, 3, rng=13)),
    "order of a dict": lambda m: m.named.update(a=m.named.pop("a")),
    "removed from a dict": lambda m: m.named.pop("a"),
    "replaced in a nested list": lambda m: m.nested[0].__setitem__(0, nn.Linear(3, 3, rng=14)),
    "a field of a module in a list": lambda m: setattr(m.layers[0], "bias", None),
}


def test_modules_in_containers(backend: str) -> None:
    model = Stack()
    f = tg.compile(model, backend)
    x = np.ones((2, 3))
    f(x), f(x)
    for change in CHANGES.values():
        change(model)
        for _ in range(3):
            np.testing.assert_allclose(f(x).numpy(), model(x).numpy(), rtol=1e-12)


_model: Any = None


def test_a_name_that_is_bound_anew(backend: str) -> None:
    global _model
    f = tg.compile(lambda x: _model(x), backend)
    for seed in (0, 0, 1, 2, 1):
        _model = nn.Linear(3, 2, rng=seed)
        for _ in range(3):
            np.testing.assert_allclose(f(X).numpy(), _model(X).numpy(), rtol=1e-12)


def test_arrays_and_functions_that_are_bound_anew() -> None:
    table, function = np.ones(3), np.sin
    f = tg.compile(lambda x: function(x) * table, "numpy")
    f(X), f(X)
    table = np.full(3, 5.0)
    np.testing.assert_array_equal(f(X), np.sin(X) * 5)
    function = np.cos
    np.testing.assert_array_equal(f(X), np.cos(X) * 5)
    table[0] = 7.0
    np.testing.assert_array_equal(f(X), np.cos(X) * table)


def test_frozen_and_unfrozen_weights(backend: str) -> None:
    def world(compiled: bool) -> tuple[Any, list[tg.Tensor]]:
        weights = [tg.tensor([1.0 + i, 2.0, 0.5], requires_grad=True) for i in range(3)]

        def run(x: Any) -> Any:
            for w in weights:
                w.grad = None
            loss = np.sum(np.sin(weights[0] * x) * weights[1] + weights[2])
            if loss.requires_grad:
                loss.backward()
            return loss

        return tg.compile(run, backend) if compiled else run, weights

    (eager, expected), (compiled, found) = world(False), world(True)
    for frozen in ([], [], [0], [0], [0, 1], [1], [2], [0, 1, 2], [], []):
        for tensors in (expected, found):
            for i, w in enumerate(tensors):
                w.requires_grad = i not in frozen
        compiled(X), eager(X)
        for a, b in zip(expected, found, strict=True):
            assert (a.grad is None) == (b.grad is None)
            if a.grad is not None:
                np.testing.assert_allclose(b.grad.numpy(), a.grad.numpy(), rtol=1e-12)


KEYS: dict[str, list[Any]] = {
    "signs of zero": [0.0, -0.0, 0.0, complex(0.0, -0.0), complex(0.0, 0.0)],
    "equal numbers": [1, 1.0, True, 1 + 0j, 1, True],
    "sets": [{1, 2}, {1, 2, 3}, {1.0, 2}, frozenset({1, 2}), set(), {2, 1}],
    "keys of dicts": [{1: 2.0}, {True: 2.0}, {1.0: 2.0}, {1: 2.0}],
    "slices": [slice(0, 2), slice(0, 3), slice(None)],
    "texts": ["a", b"a", "b", None, Ellipsis, np.dtype("f4"), np.float32],
}


@pytest.mark.parametrize("values", KEYS.values(), ids=KEYS)
def test_each_value_has_its_own_program(values: list[Any], capsys: pytest.CaptureFixture[str]) -> None:
    def f(value: Any, x: Any) -> Any:
        print(text(value))  # while it is recorded
        return x * 2

    def text(value: Any) -> str:
        return repr(sorted(map(repr, value)) if isinstance(value, set) else value)

    compiled = tg.compile(f, "numpy")
    for value in values:
        compiled(value, X)
        is_new = bool(capsys.readouterr().out)
        assert vars(compiled._latest).setdefault("recorded for", text(value) if is_new else None) == text(value)


def test_nan_is_one_value() -> None:
    f = tg.compile(lambda value, x: x * value, "numpy")
    for _ in range(5):
        assert np.isnan(f(float("nan"), X)).all()
    assert recordings(f) == 1


def test_a_set_that_changes() -> None:
    f = tg.compile(lambda chosen, x: x * len(chosen), "numpy")
    chosen = {1}
    for i in range(2, 6):
        np.testing.assert_array_equal(f(chosen, X), X * len(chosen))
        chosen.add(i)


@pytest.mark.parametrize("value", [deque([1]), bytearray(b"a")], ids=["deque", "bytearray"])
def test_an_argument_that_may_change_unseen_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match=r"as an argument, whose content may change without notice: pass a list"):
        tg.compile(lambda value, x: x * len(value), "numpy")(value, X)


_python, _legacy, _hidden = random.Random(0), np.random.RandomState(0), (np.random.default_rng(0),)
_methods = np.random.random, _legacy.normal

DRAWS: dict[str, Callable[[], float]] = {
    "random.random": lambda: random.random(),
    "random.gauss": lambda: random.gauss(0, 1),
    "random.choice": lambda: random.choice([1, 1]),
    "random.Random": lambda: _python.random(),
    "a method of NumPy's in a tuple": lambda: _methods[0](),
    "a method of a RandomState in a tuple": lambda: _methods[1](),
    "a generator in a tuple": lambda: _hidden[0].normal(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS)
def test_draws_that_python_decides_by_are_refused(draw: Callable[[], float]) -> None:
    """Although both recordings take the same branch."""
    f = tg.compile(lambda x: x if draw() < 1e9 else -x, "numpy")
    before = random.getstate(), np.random.get_state()[1].tobytes()
    with pytest.raises(UsageError, match=r"(?s)draws from .*rng = np\.random\.default_rng\(seed\) outside"):
        f(X)
    assert before == (random.getstate(), np.random.get_state()[1].tobytes())


def _restores(rng: np.random.Generator) -> Any:
    rng.bit_generator.state = _start
    return rng.normal()


_start = np.random.default_rng(8).bit_generator.state
STATES: dict[str, Callable[[np.random.Generator], Any]] = {
    "set": _restores,
    "read": lambda rng: rng.bit_generator.state["state"]["state"] % 5,
    "advanced": lambda rng: rng.normal() if rng.bit_generator.advance(9) else 0.0,
    "raw": lambda rng: rng.bit_generator.random_raw() % 7,
    "another generator": lambda rng: np.random.Generator(rng.bit_generator).normal(),
    "jumped": lambda rng: np.random.Generator(rng.bit_generator.jumped()).normal(),
    "copy": lambda rng: copy(rng).normal(),
    "deep copy": lambda rng: deepcopy(rng).normal(),
    "pickled": lambda rng: pickle.loads(pickle.dumps(rng)).normal(),
    "spawned": lambda rng: rng.spawn(1)[0].normal(),
}


@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
def test_the_state_of_a_generator_is_no_part_of_a_program() -> None:
    """Whatever a function does with it, results and states are those without compiling."""

    def calls(compiled: bool, ask: Callable[[Any], Any], is_argument: bool) -> list[Any]:
        rng, results = np.random.default_rng(5), []

        def f(x: Any, generator: Any) -> Any:
            return x * ask(rng if generator is None else generator)

        step = tg.compile(f, "numpy") if compiled else f
        for turn in range(4):
            if turn == 2:
                rng.normal()
            results.append((np.asarray(step(X, rng if is_argument else None)).tolist(), rng.bit_generator.state))
        return results

    for name, ask in STATES.items():
        for is_argument in (False, True):
            assert calls(True, ask, is_argument) == calls(False, ask, is_argument), (name, is_argument)


@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
def test_a_generator_that_a_function_seeds_is_left_as_without_compiling() -> None:
    """Although each run leaves it as the run before did."""

    def numpys(x: Any) -> Any:
        np.random.seed(3)
        return x * np.random.normal()

    def pythons(x: Any) -> Any:
        random.seed(3)
        return x * random.random()

    def next_draws(f: Callable[[Any], Any]) -> list[Any]:
        draws = []
        for turn in range(4):
            draws += [f(X).tolist(), *([np.random.normal(), random.random()] if turn == 2 else [])]
        return [*draws, np.random.normal(), random.random()]

    for f in (numpys, pythons):
        before = random.getstate(), np.random.get_state()
        expected = next_draws(f)
        random.setstate(before[0])
        np.random.set_state(before[1])
        assert next_draws(tg.compile(f, "numpy")) == expected


@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
@pytest.mark.parametrize(
    "read",
    [
        lambda: np.random.get_state()[2],
        lambda: np.random.get_state()[1][0] % 7,
        lambda: np.random.get_state()[1][-1] % 7,
        lambda: random.getstate()[1][0] % 7,
        lambda: random.getstate()[1][-1],
        lambda: _legacy.get_state()[1][5] % 7,
        lambda: _python.getstate()[1][5] % 7,
        lambda: _hidden[0].bit_generator.state["state"]["state"] % 7,
    ],
)
def test_what_a_function_reads_from_a_hidden_state_is_as_without_compiling(read: Callable[[], float]) -> None:
    """The recordings are made some draws further on."""
    f = tg.compile(lambda x: x * read(), "numpy")
    for _ in range(4):
        np.testing.assert_array_equal(f(X), X * read())
        for generator in (np.random, random, _legacy, _python, _hidden[0]):
            generator.random()


@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
def test_a_loader_goes_on_as_without_compiling() -> None:
    def loader() -> DataLoader:
        return DataLoader(np.arange(12.0).reshape(6, 2), batch_size=2, shuffle=True, rng=0)

    mine, other, holder = loader(), loader(), SimpleNamespace(loader=loader())
    ways: list[tuple[Any, Callable[[Any], Any]]] = [
        (mine, lambda w: sum(np.sum(batch @ w) * batch[0, 0] for batch in mine)),
        (holder.loader, lambda w: sum(np.sum(batch @ w) * batch[0, 0] for batch in holder.loader)),
    ]
    for used, epoch in ways:
        other, step = loader(), tg.compile(epoch, "numpy")
        for _ in range(4):
            expected = sum(np.sum(batch @ np.ones(2)) * batch[0, 0] for batch in other)
            assert float(step(np.ones(2))) == expected
            assert used.state_dict() == other.state_dict()


@pytest.mark.parametrize(
    "read",
    [
        lambda: float(os.environ["TG_SCALE"]),
        lambda: float(os.getenv("TG_SCALE", "3")),
        lambda: float(getenv("TG_SCALE", "3")),
        lambda: float(environ.get("TG_SCALE", "3")),
        lambda: 2.0 if "TG_SCALE" in os.environ else 3.0,
        lambda: float(os.environ.setdefault("TG_SCALE", "5")),
    ],
)
def test_the_environment_is_followed(read: Callable[[], float], monkeypatch: pytest.MonkeyPatch) -> None:
    f = tg.compile(lambda x: x * read(), "numpy")
    for value in (2.0, 2.0, 3.0, 2.0):
        monkeypatch.setenv("TG_SCALE", str(value))
        np.testing.assert_array_equal(f(X), X * read())


def test_the_environment_is_set_in_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def f(x: Any) -> Any:
        os.environ["TG_SET"] = "1"
        return x * 2

    f = tg.compile(f, "numpy")
    monkeypatch.setenv("TG_SET", "0")  # and takes it away in the end
    for turn in range(4):
        if turn == 2:
            os.environ["TG_SET"] = "2"
        np.testing.assert_array_equal(f(X), X * 2)
        assert os.environ["TG_SET"] == "1"


_rng = np.random.default_rng(3)


def _noise(x: Any) -> Any:
    return x + _rng.normal(size=3)


def test_a_generator_of_a_callee() -> None:
    f, own = tg.compile(lambda x: _noise(x), "numpy"), np.random.default_rng()
    own.bit_generator.state = _rng.bit_generator.state
    for _ in range(3):
        np.testing.assert_array_equal(f(X), X + own.normal(size=3))


def test_a_generator_of_an_object() -> None:
    p, own = Plain(), np.random.default_rng(5)
    p.inner = np.random.default_rng(5)
    f = tg.compile(lambda x: x + p.inner.normal(size=3), "numpy")
    for _ in range(3):
        np.testing.assert_array_equal(f(X), X + own.normal(size=3))
    p.inner, own = np.random.default_rng(6), np.random.default_rng(6)
    for _ in range(3):
        np.testing.assert_array_equal(f(X), X + own.normal(size=3))


LARGE: dict[str, Any] = {
    "a list": lambda: [1.0] * 500,
    "a deque": lambda: deque([1.0] * 500),
    "a dict": lambda: dict.fromkeys(range(500), 1.0),
    "a dict by words": lambda: {str(i): 1.0 for i in range(500)},
}


@pytest.mark.long
@pytest.mark.parametrize("make", LARGE.values(), ids=LARGE)
def test_entries_of_large_containers_are_followed(make: Any, backend: str) -> None:
    numbers = make()
    f = tg.compile(lambda x: x * sum(numbers.values() if isinstance(numbers, dict) else numbers), backend)
    for i in range(4):
        np.testing.assert_array_equal(f(X), X * (500 + i))
        key = list(numbers)[300] if isinstance(numbers, dict) else 300
        numbers[key] += 1
    before = recordings(f)
    numbers[key] = float(str(numbers[key]))  # another object, but the same number
    f(X)
    f(X)
    assert recordings(f) == before + 1  # for the last number


def test_large_containers_are_passed_over_quickly() -> None:
    words, pairs, many = {str(i): i for i in range(300_000)}, [(i, i) for i in range(100_000)], tuple(range(300_000))
    f = tg.compile(lambda x: x * words["7"] + pairs[3][0] + many[5], "numpy")
    start = time.perf_counter()
    np.testing.assert_array_equal(f(X), X * 7 + 8)
    assert time.perf_counter() - start < 1
    words["7"] = 9
    np.testing.assert_array_equal(f(X), X * 9 + 8)


def test_programs_for_many_values_are_not_all_kept() -> None:
    global SCALE
    f = tg.compile(lambda x: x * SCALE, "numpy")
    for i in range(120):
        SCALE = float(i)
        np.testing.assert_array_equal(f(X), X * i)
    assert recordings(f) <= 50
    assert len(f._entries[(1,)]) <= 50


class Trainer:
    def __init__(self) -> None:
        self.turns = 0

    def step(self, x: Any) -> Any:
        self.turns = self.turns + 1
        return x * len(range(self.turns))


def test_what_the_function_itself_changes() -> None:
    global SCALE
    trainer, settings = Trainer(), {"turns": 0}

    def by_name(x: Any) -> Any:
        global SCALE
        SCALE = SCALE / len(f"{SCALE}")
        return x

    def by_key(x: Any) -> Any:
        settings["turns"] = 3 * settings["turns"] + 1
        return x

    for f, words in ((trainer.step, r"Trainer\.turns"), (by_name, "SCALE"), (by_key, r"settings\['turns'\]")):
        with pytest.raises(UsageError, match=words):
            tg.compile(f, "numpy")(X)
    assert trainer.turns == 0
    assert SCALE == 2.0
    assert settings == {"turns": 0}


def test_counts_are_followed() -> None:
    calls, counts = 0, {"calls": 0}

    def f(x: Any) -> Any:
        nonlocal calls
        calls += 1
        counts["calls"] += 1
        return x * 2

    compiled = tg.compile(f, "numpy")
    for _ in range(5):
        compiled(X)
    assert calls == counts["calls"] == 5
    assert recordings(compiled) == 1


class Log:
    """What a function keeps of its calls, which does not depend on what it computes."""

    def __init__(self) -> None:
        self.calls: list[Any] = []
        self.waiting: deque[str] = deque(["a"])
        self.latest: deque[str] = deque("abc", maxlen=3)
        self.text = ""
        self.by_name: dict[str, list[int]] = {"a": []}
        self.names: set[str] = set()
        self.first: list[str] = []


LOGGING: dict[str, Callable[[Log], Any]] = {
    "append": lambda log: log.calls.append("called"),
    "extend": lambda log: log.calls.extend([1, None]),
    "+=": lambda log: log.calls.__iadd__([len(log.calls)]),
    "insert": lambda log: log.calls.insert(0, "called"),
    "a list in a dict": lambda log: log.by_name["a"].append(1),
    "setdefault": lambda log: log.by_name.setdefault("b", []).append(1),
    "a deque": lambda log: log.waiting.append("b"),
    "a deque from the left": lambda log: log.waiting.appendleft("b"),
    "a text": lambda log: setattr(log, "text", log.text + "b"),
    "a set": lambda log: log.names.add("a"),
    "once": lambda log: log.first or log.first.append("a"),
}


@pytest.mark.parametrize("name", LOGGING)
@pytest.mark.filterwarnings("ignore::tinygrad_lite.errors.UncompiledWarning")
def test_what_is_appended_is_there_as_often_as_without_compiling(name: str, backend: str) -> None:
    note = LOGGING[name]
    found, expected = Log(), Log()
    text = ""

    def f(x: Any, log: Log) -> Any:
        note(log)
        return x * 2

    compiled = tg.compile(f, backend)
    for _ in range(6):
        np.testing.assert_array_equal(compiled(X, found), f(X, expected))
        assert vars(found) == vars(expected)

    def closure(x: Any) -> Any:
        nonlocal text
        note(found)
        text += "b"
        return x * 2

    compiled = tg.compile(closure, backend)
    for turn in range(4):
        compiled(X), note(expected)
        assert (vars(found), text) == (vars(expected), "b" * (turn + 1))


def test_names_that_disappear() -> None:
    p = Plain()
    f = tg.compile(lambda x: x * p.scale * TABLE["scale"], "numpy")
    f(X), f(X)
    del p.scale
    with pytest.raises(AttributeError, match="scale"):
        f(X)
    p.scale = 2.0
    del TABLE["scale"]
    with pytest.raises(KeyError, match="scale"):
        f(X)


def test_objects_are_as_they_were_after_a_recording() -> None:
    p = Plain()
    before = dict(vars(Plain)), dict(vars(nn.Module)), dict(vars(optim.Optimizer))
    tg.compile(lambda x: x * p.scale, "numpy")(X)
    assert (dict(vars(Plain)), dict(vars(nn.Module)), dict(vars(optim.Optimizer))) == before


def test_recordings_in_several_threads_watch_the_same_class() -> None:
    p, errors = Plain(), []

    def work(i: int) -> None:
        f = tg.compile(lambda x: x * p.scale * i, "numpy")
        try:
            for _ in range(20):
                np.testing.assert_array_equal(f(X), X * p.scale * i)
                f._runs.clear(), f._entries.clear()
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(i,)) for i in range(3)]
    [thread.start() for thread in threads]
    [thread.join() for thread in threads]
    assert errors == []


@pytest.mark.parametrize("kind", [np.ma.masked_less, lambda x, _: np.asmatrix(x)], ids=["masked", "matrix"])
@pytest.mark.filterwarnings("ignore:the matrix subclass:PendingDeprecationWarning")
def test_arrays_with_rules_of_their_own(backend: str, kind: Callable[[Any, float], Any]) -> None:
    def f(x: Any) -> Any:
        return np.sum(x * x.T)

    compiled = tg.compile(f, backend)
    for x in (np.arange(9.0).reshape(3, 3), np.ones((3, 3))):
        for values in (x, kind(x, 4.0), x):
            found, expected = (np.ma.filled(function(values), -1.0) for function in (compiled, f))
            np.testing.assert_array_equal(found, expected)


class Scaled:
    def __init__(self, scale: float) -> None:
        self.scale = scale * OF_NEW_ONES[0]

    def twice(self) -> "Scaled":
        return type(self)(2 * self.scale)


OF_NEW_ONES = {0: 1.0}


def test_what_makes_an_object_is_followed_where_the_function_makes_one(
    backend: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the name of its class, or as another of the class of an object that there is."""
    one = Scaled(1.5)
    makes = tg.compile(lambda x: x * Scaled(2.0).scale, backend)
    makes_alike = tg.compile(lambda x: x * one.twice().scale, backend)
    x = np.ones(2)
    assert (makes(x)[0], makes_alike(x)[0]) == (2.0, 3.0)
    monkeypatch.setitem(OF_NEW_ONES, 0, 10.0)
    assert (makes(x)[0], makes_alike(x)[0]) == (20.0, 30.0)

    def init(self: Scaled, scale: float) -> None:
        self.scale = scale

    monkeypatch.setattr(Scaled, "__init__", init)
    assert (makes(x)[0], makes_alike(x)[0]) == (2.0, 3.0)


class Settings:
    """An object whose attributes are the entries of a dict, as those of a configuration often are."""

    def __init__(self) -> None:
        self.entries = {"scale": 1.0}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["entries"][name]
        except KeyError:
            raise AttributeError(name) from None


def test_attributes_that_are_entries_of_a_dict(backend: str) -> None:
    """Of which one varies, another appears, and the dict is replaced."""
    settings = Settings()

    def f(x: Any) -> Any:
        return x * settings.scale + getattr(settings, "shift", 0.0)

    compiled = tg.compile(f, backend)
    for turn in range(10):
        settings.entries["scale"] = 1.0 + turn // 2
        if turn == 3:
            settings.entries["shift"] = 5.0
        if turn == 6:
            settings.entries = {"scale": 0.5}
        if turn == 8:
            settings.entries["shift"] = -1.0
        np.testing.assert_array_equal(compiled(X), f(X))
