"""The subject of a check for what a caller may have: a gradient, products with it, or a function of another library."""

from collections.abc import Callable, Mapping, Sequence
from inspect import Signature
from typing import Any

import numpy as np

from tinygrad_lite import trees
from tinygrad_lite.checking.subjects.arguments import argument_names
from tinygrad_lite.checking.subjects.directions import along_directions
from tinygrad_lite.checking.subjects.frameworks import Program
from tinygrad_lite.checking.subjects.frameworks.foreign_program import Library
from tinygrad_lite.checking.subjects.rows import by_row
from tinygrad_lite.checking.subjects.subject import FULL, GradientOf, Subject, random_weights
from tinygrad_lite.checking.subjects.supplied import Gradient, Products, Supplied
from tinygrad_lite.errors import UsageError
from tinygrad_lite.foundation.signatures import signature
from tinygrad_lite.nn.module import Module
from tinygrad_lite.transforms.runs import name_of


def subject_of(
    f: Callable[..., Any],
    inputs: Sequence[Any],
    program: Program | None,
    supplied: dict[str, Any],
    order: int,
    wrt: Any,
    bounds: Any,
    batched: bool,
    rng: "np.random.Generator",
) -> Subject:
    """A function with its arguments, and with the gradient to check in place of ours.

    Args:
        program: the function with its arguments, if they are those of another library.
        supplied: what the user computes by itself: `gradient`, `hvp`, or `vjp` and `jvp`.
    """
    supplied = {name: value for name, value in supplied.items() if value is not None}
    _check_request(supplied, order, batched)
    if program:
        is_the_librarys = supplied.keys() <= {"hvp"}
        if is_the_librarys:
            program.leave_out_detached()
        program.widen(is_the_librarys)
        supplied = {name: program.supplied(value) for name, value in supplied.items()}
    else:
        _require_fit(f, inputs)
        for name, function in supplied.items():
            _require_form(name, function, argument_names(f, len(inputs)))
    hvp, gradient = supplied.pop("hvp", None), supplied.pop("gradient", None)
    rules: Supplied | None = None
    if supplied:
        rules = Products(**supplied)
    elif gradient is not None:
        rules = Gradient(gradient)
    subject = _of_program(program, rules, wrt, bounds) if program else Subject(f, inputs, rules, wrt, bounds)
    if hvp:
        return HessianOf(subject, program.gradient if program and gradient is None else gradient, hvp)
    if order == 2:
        weights = random_weights(rng, subject.values(subject.point).size)
        if program:
            of_results = trees.leaves(subject.results.weighted(weights))
            return _of_program(program.differentiated(of_results), rules, wrt, bounds)
        return GradientOf(subject, weights)
    if batched:
        return by_row(subject, rng)
    if supplied.keys() == {"jvp"} and len(subject.point) > FULL:
        return along_directions(subject, rng)
    return subject


def _check_request(supplied: Mapping[str, Any], order: int, batched: bool) -> None:
    """Raise the error for settings that exclude each other."""
    names = " and ".join(f"{name}=" for name in supplied)
    if len(supplied) > 1 and supplied.keys() not in ({"vjp", "jvp"}, {"gradient", "hvp"}):
        raise UsageError(f"{names} are different gradients: check one after the other")
    if order == 2 and supplied:
        raise UsageError(f"order=2 checks the derivative of our own gradient: give {names} with order=1, or hvp=")
    if batched and (order == 2 or supplied.keys() & {"hvp", "jvp"}):
        raise UsageError("batched=True checks first derivatives in reverse mode only: leave out order=2, jvp= and hvp=")


def _require_fit(f: Callable[..., Any], inputs: Sequence[Any]) -> None:
    """Raise the error for inputs that the function does not take."""
    form = _form_of(f.forward if isinstance(f, Module) else f)
    if form is None or not _misfit(form, inputs):
        return
    name = name_of(f)
    given = f"{len(inputs)} input{'s' * (len(inputs) != 1)}"
    spread = len(inputs) == 1 and isinstance(inputs[0], (tuple, list)) and not _misfit(form, inputs[0])
    advice = f"gradcheck({name}, *inputs)" if spread else "one input after the function for each argument"
    raise UsageError(f"{name} takes {form}, and gradcheck was given {given} for it: write {advice}")


def _require_form(name: str, function: Any, arguments: Sequence[str]) -> None:
    """Raise the error for a user's function that does not take the arguments of its call."""
    per_argument = (
        f"a tuple of one for each of {', '.join(arguments)}" if len(arguments) > 1 else f"one like {arguments[0]}"
    )
    last = {
        "vjp": ("g", "g is the gradient with respect to what the function returns"),
        "jvp": ("t", f"t is a tangent: {per_argument}"),
        "hvp": ("v", f"v is a vector: {per_argument}"),
    }.get(name)
    called = [*arguments, last[0]] if last else arguments
    form = _form_of(function)
    if form is not None and _misfit(form, called):
        meaning = f", where {last[1]}" if last else ", with the inputs of the function"
        raise UsageError(f"{name}= is called as {name}({', '.join(called)}){meaning}; {name_of(function)} takes {form}")


def _form_of(function: Any) -> Signature | None:
    """The parameters of a function; None if they are unknown, as those of C's functions may be."""
    try:
        return signature(function, follow_wrapped=False)  # a decorator may add arguments to those it is called with
    except (TypeError, ValueError):
        return None


def _misfit(form: Signature, arguments: Sequence[Any]) -> bool:
    """Whether a function with these parameters cannot be called with as many arguments."""
    try:
        form.bind(*arguments)
    except TypeError:
        return True
    return False


def _of_program(program: Program, rules: Supplied | None, wrt: Any, bounds: Any) -> Subject:
    subject = Subject(program.values, program.inputs, rules or Library(program), wrt, bounds, program.names)
    subject.name, subject.opaque = program.name, True
    subject.remarks += program.remarks
    subject.epsilon = max(subject.epsilon, program.epsilon)
    return subject


class HessianOf(GradientOf):
    """The gradient of a subject with one result, and the products of the Hessian with vectors that a user computes."""

    def __init__(self, first: Subject, gradient: Callable[..., Any] | None, hvp: Callable[..., Any]) -> None:
        if first.values(first.point).size != 1:
            raise UsageError(
                f"hvp= needs a function with one result, {first.name} returned {first.results.size} numbers"
            )
        super().__init__(first, np.ones(1))
        self.plain = True
        self.supplied = Products(None, self._in_order(hvp, "hvp="), "hvp=")
        self._gradient = None if gradient is None else self._in_order(gradient, "gradient=")

    def _in_order(self, function: Callable[..., Any], source: str) -> Callable[..., list[Any]]:
        """A function that returns one array for each variable in the containers of the arguments, as a list of them."""

        def listed(*inputs: Any) -> list[Any]:
            gradients = self.arguments.matched(function(*inputs), source)
            return [gradients[number] for number in self.arguments.numbers]

        return listed

    def returned(self, leaves: Sequence[Any]) -> Any:
        if self._gradient:
            return self.arguments.call(self._gradient, leaves)
        return super().returned([np.float64(x) if isinstance(x, float) else x for x in leaves])
