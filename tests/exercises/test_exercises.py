"""What the learner meets: the question, hints, marks and attempts; and the teacher, who declares."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import tinygrad_lite as tg
from tests.exercises.answers import ANSWERS
from tinygrad_lite.engine import registry
from tinygrad_lite.errors import InputError, ShapeError, UsageError
from tinygrad_lite.exercises import catalogue, marking
from tinygrad_lite.exercises.course import COURSE
from tinygrad_lite.exercises.learners_file import answer_in, loaded
from tinygrad_lite.exercises.mark import distance

X = np.array([0.5, -1.0, 2.0])


def declared(function: Any = lambda x: x**2, **changes: Any) -> Any:
    fields: dict[str, Any] = {"write": "derivative", "inputs": [{"x": X}], **changes}
    tg.exercises.declare("trial", "A trial.", function, **fields)
    return tg.exercises.start("trial")


@pytest.fixture(autouse=True)
def _forget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(catalogue, "_DECLARED", dict(catalogue._DECLARED))


def test_a_session(capsys: pytest.CaptureFixture[str]) -> None:
    exercise = tg.exercises.start("softplus")
    assert "y = log(1 + exp(x))" in repr(exercise)

    @exercise.submit
    def derivative(y: Any, x: Any) -> Any:
        return np.exp(x)

    assert "softplus, attempt 1: not yet" in capsys.readouterr().out
    assert str(exercise.hint()).startswith("hint 1 of 3: ")
    assert str(exercise.hint()).startswith("hint 2 of 3: ")
    assert str(exercise.hint()).startswith("hint 3 of 3: ")
    assert str(exercise.hint()) == "there is no further hint"
    assert str(exercise.hint(1)).startswith("hint 1 of 3: ")

    @exercise.submit
    def again(y: Any, x: Any) -> Any:
        return 1 - np.exp(-y)

    assert "softplus, attempt 2: right" in capsys.readouterr().out
    assert again(np.log(2.0), 0.0) == pytest.approx(0.5)  # the decorated function is still there
    assert (exercise.attempts, exercise.solved, exercise.name) == (2, True, "softplus")


def test_a_notebook_shows_markdown() -> None:
    exercise = tg.exercises.start("bias")
    assert "```python\ndef vjp(g, y, x, b):\n    return ...\n```" in exercise._repr_markdown_()
    mark = exercise.check(lambda g, y, x, b: -g.sum(axis=0))
    assert mark._repr_markdown_().startswith("**bias, attempt 1: not yet**\n\n- ")
    assert "| `bias` |" in tg.exercises.list()._repr_markdown_()
    assert exercise.hint()._repr_markdown_().startswith("hint 1")
    assert "\n\nHints: 3 (`hint()`, or `--hint 1` in a shell)" in exercise._repr_markdown_()


def test_a_function_of_several_lines_is_shown_as_code() -> None:
    assert "a = np.tanh(x @ w1 + b1)" in str(tg.exercises.start("hidden_weight"))


def test_what_has_neither_code_nor_formula_is_named() -> None:
    assert "y = f(x)" in str(declared(lambda x: np.float64(x[0]) * np.asarray(x, float), inputs=[{"x": X}]))


def test_exercises_are_listed_and_found() -> None:
    names = [*tg.exercises.list()]
    assert len(names) == len(tg.exercises.list())
    assert all(name in str(tg.exercises.list()) for name in names)
    with pytest.raises(InputError, match="did you mean softplus"):
        tg.exercises.start("sofplus")
    with pytest.raises(InputError, match="there are square, exp"):
        tg.exercises.start("???")


def test_the_course_is_read_when_it_is_asked_for() -> None:
    script = "import sys, json, tinygrad_lite; print(json.dumps([m for m in sys.modules if '.exercises.' in m]))"
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert json.loads(found.stdout) == []


def _in_place(y: Any, x: Any) -> Any:
    x *= 2
    return x


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (2, r"submit a function, def derivative\(y, x\), not int"),
        (lambda x: x, r"begin with `def derivative\(y, x\):`"),
        (lambda g, y, x: x, "2 arguments that it is given, y, x"),
        (lambda y, x: None, "returned None"),
        (lambda y, x: ..., "returned Ellipsis"),
        (lambda y, x: "2x", "an array of real numbers, it returned str"),
        (lambda y, x: x + 0j, "an array of real numbers, it returned an array of complex128"),
        (lambda y, x: sys.exit(0), "<lambda> leaves Python: let it end with `return`"),
        (lambda y, x: [x, x[:1]], "an array of real numbers, it returned list"),
        (_in_place, r"changed x, which others read too: work on x.copy\(\)"),
    ],
)
def test_what_cannot_be_marked(function: Any, words: str) -> None:
    exercise = tg.exercises.start("square")
    with pytest.raises(UsageError, match=words):
        exercise.check(function)
    assert exercise.attempts == 0


def test_an_exception_is_passed_on_with_its_line() -> None:
    def derivative(y: Any, x: Any) -> Any:
        return 2 * x[7]

    exercise = tg.exercises.start("square")
    with pytest.raises(IndexError) as caught:
        exercise.check(derivative)
    assert caught.value.__notes__[0].startswith("raised by your derivative, line ")
    assert caught.value.__notes__[0].endswith("return 2 * x[7]")
    assert exercise.attempts == 0


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("def derivative(y, x):\n    return 2^x", "a power is written with **"),
        ("import numpy as np\ndef derivative(y, x):\n    return np.cos(2^3) * x ^ 2.0", "a power is written with **"),
        ("def derivative(y, x):\n    return 2x", "line 2: invalid decimal literal; a product is written with *"),
        ("def derivative(y, x):\n    return x(1 + x)", "a product is written with *"),
        ("def derivative(y, x):\n    c = 2\n    return c(1 + x)", "a product is written with *"),
        ("c = 2\nc(1)", "line 2, cannot be run: TypeError: 'int' object is not callable; a product"),
        ("def derivative(y, x):\n    return np.exp(x)", "begin with `import numpy as np`"),
        ("import math\ndef derivative(y, x):\n    return math.exp(x)", "write NumPy's functions, such as np.exp"),
        ("def derivative(y, x):\n    return 2 if x > 0 else 0", "choose entry by entry"),
        ("def derivative(y, x):\n    return e**x", "as np.exp(x) and np.e do"),
        ("def derivative(y, x):\n    return 1 \u2212 x", "a minus is written with the - of the keyboard"),
        ("def derivative(y, x):\n    return 2 \u00d7 x", "a product is written with *"),
        ("def derivative(y, x):\n    return x\u00b2", "a power is written with **"),
        ("def derivative(y, x):\n    return 2 * X", "it is called x here: capital letters and small ones differ"),
        ("def derivative(y, x):\n    return 2 * x[i]", "no index is needed, since NumPy computes entry by entry"),
        ("def derivative(y, x):\n    return dy / dx", "write the formula of the derivative, with y, x"),
        (">>> def derivative(y, x):\n...     return 2 * x", "leave out the prompts"),
        ("def square(y, x):\n    return 2 * x", "has no `derivative`, which the exercise asks for: call it that in pl"),
        ("def derivative(x, y):\n    return 2 * x", "in another order, y, x: begin with `def derivative(y, x):`"),
    ],
)
@pytest.mark.filterwarnings("ignore:.*is not callable:SyntaxWarning")
def test_what_is_written_as_on_paper_gets_advice(code: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "square.py"
    file.write_text(code)
    with pytest.raises(Exception) as caught:  # noqa: PT011, RUF100  whatever it is, it has the advice
        tg.exercises.start("square").check(answer_in(file, "derivative"))
    assert words in "\n".join([str(caught.value), *getattr(caught.value, "__notes__", [])])


def test_commands_of_a_notebook_do_nothing_in_the_file_that_it_became(tmp_path: Path) -> None:
    """`%matplotlib inline`, `!pip install numpy`, `files = !ls` and `%%time`, as nbconvert writes them."""
    file = tmp_path / "square.py"
    answer = "def derivative(y, x):\n    return 2 * x\n"
    commands = "run_line_magic('matplotlib', 'inline')", "system('pip install numpy')", "getoutput('ls')"
    file.write_text("".join(f"get_ipython().{command}\n" for command in commands) + answer)
    assert tg.exercises.start("square").check(answer_in(file, "derivative")).ok
    file.write_text(f"get_ipython().run_cell_magic('time', '', {answer!r})\n")
    with pytest.raises(InputError, match="take %%time out of the notebook: it hides its whole cell from Python"):
        answer_in(file, "derivative")


def test_numbers_in_a_file_get_advice(tmp_path: Path) -> None:
    file = tmp_path / "reciprocal.py"
    file.write_text("answer = -0.5\n")
    with pytest.raises(
        InputError, match=r"has no `numbers`, which the exercise asks for: call it that in place of answer"
    ):
        answer_in(file, "numbers")
    with pytest.raises(UsageError, match=r"not text: take the quotes away from '-0\.5'"):
        tg.exercises.start("reciprocal").check("-0.5")
    assert "the decimals behind a point" in str(tg.exercises.start("reciprocal").check((-0, 5)))


@pytest.mark.parametrize(
    ("vjp", "words"),
    [
        (lambda g, y, a, b: np.dot(g, b), r"`np.dot(g, b)` multiplies matrices of shapes (2, 4) and (3, 4): the inner"),
        (
            lambda g, y, a, b: g.dot(b),
            "`g.dot(b)` multiplies matrices of shapes (2, 4) and (3, 4): the inner sizes differ",
        ),
        (lambda g, y, a, b: np.matmul(g.sum(), b), "shapes () and (3, 4): a single number has nothing to sum over"),
        (lambda g, y, a, b: np.exp(g @ (2 * b)), "`g @ (2 * b)` multiplies"),
        (lambda g, y, a, b: g.reshape(3, 3), "`g.reshape(3, 3)`: cannot reshape array of size 8 into shape (3,3)"),
        (
            lambda g, y, a, b: g + b,
            "`g + b` combines entries of shapes (2, 4) and (3, 4), which do not fit\n  hints left",
        ),
        (lambda g, y, a, b: sum([g, b]), "`sum([g, b])`: the shapes of two arrays do not fit\n  hints left"),
        (eval("lambda g, y, a, b: g @ b"), "the shapes of two arrays do not fit\n  "),  # its lines are nowhere
    ],
)
def test_shapes_that_do_not_fit_are_a_wrong_answer_with_its_line(vjp: Any, words: str) -> None:
    exercise = tg.exercises.start("matmul_left")
    mark = exercise.check(vjp)
    assert not mark.ok
    assert words in str(mark), str(mark)
    assert exercise.attempts == 1


def test_another_error_of_a_value_is_passed_on() -> None:
    with pytest.raises(ValueError, match="invalid literal"):
        tg.exercises.start("square").check(lambda y, x: int("x"))


def test_a_template_for_pen_and_paper_says_how_many_numbers_it_asks_for() -> None:
    forms = {"dot": "a list of 2 numbers", "reciprocal": "one number"}
    assert all(f"numbers = ...  # {form}\n" in tg.exercises.start(name).template() for name, form in forms.items())


def test_what_an_answer_prints_is_printed_once_for_each_trial(capsys: pytest.CaptureFixture[str]) -> None:
    def derivative(y: Any, x: Any) -> Any:
        print(x)
        return 2 * x

    tg.exercises.start("square").check(derivative)
    assert capsys.readouterr().out == "[ 1.  -0.5  3. ]\n[ 0.75 -1.25]\n"


def test_results_that_change_are_reported() -> None:
    rng = np.random.default_rng(0)
    mark = tg.exercises.start("square").check(lambda y, x: 2 * x + rng.normal(size=x.shape))
    assert not mark.ok
    assert "two calls with the same arguments" in str(mark)


def test_a_number_will_do_for_a_derivative_that_is_the_same_everywhere() -> None:
    assert declared(lambda x: 3 * x + 1).check(lambda y, x: 3).ok


@pytest.mark.parametrize(
    ("found", "right", "words"),
    [
        (1.0, 1.05, "a little too near 0"),
        (-1.05, -1.0, "a little too far from 0"),
        (1.0, 1.5, "too near 0"),
        (1.0, 3.0, "much too near 0"),
        (0.0, 3.0, "it is 0, and should not be"),
        (3.0, -1.0, "its sign is wrong"),
        (3.0, 1.0, "much too far from 0"),
        (3.0, 0.0, "much too far from 0"),
        (1.0, 1.0001, "nearly right, but off by more than rounding explains"),
        (np.nan, 1.0, "it is nan"),
        (1.0, np.inf, "no finite number is right here"),
    ],
)
def test_how_far_a_number_is_off(found: float, right: float, words: str) -> None:
    assert distance(found, right) == words


def test_wrong_in_the_last_digits_is_wrong() -> None:
    mark = tg.exercises.start("sigmoid").check(lambda y, x: y * (1 - y) * (1 + 1e-10))
    assert "nearly right, but off by more than rounding explains" in str(mark)


@pytest.mark.long
@pytest.mark.parametrize("name", [declaration.name for declaration in COURSE if declaration.write != "numbers"])
def test_what_is_nearly_right_is_called_that(name: str) -> None:
    """As what differences give, or float32: much that fits by chance would mislead, such as a sign that is left out."""
    mark = tg.exercises.start(name).check(lambda *given: (1 + 1e-7) * np.asarray(ANSWERS[name](*given)))
    assert mark.misconception == "nearly"


def test_a_teacher_needs_no_answer() -> None:
    exercise = declared(lambda x: x / (1 + np.abs(x)))
    assert exercise.check(lambda y, x: (1 - np.abs(y)) ** 2).ok
    assert not exercise.check(lambda y, x: (1 - np.abs(x)) ** 2).ok
    assert str(exercise.hint()) == "there is no hint"
    assert "hint" not in str(exercise).lower()


def test_a_function_that_leaves_numpy_is_marked_by_differences() -> None:
    exercise = declared(lambda x: np.array([float(each) ** 3 for each in x]))
    assert exercise.check(lambda y, x: 3 * x**2).ok
    assert not exercise.check(lambda y, x: 3 * x**2 * (1 + 1e-5)).ok


def test_a_function_that_rounds_too_coarsely_is_refused_where_it_is_declared() -> None:
    exercise = declared(lambda x: np.array([round(float(np.sin(each)), 1) for each in x]))
    with pytest.raises(InputError, match="trial cannot be marked: its function rounds so coarsely"):
        exercise.check(lambda y, x: 1)


def test_at_a_kink_without_a_convention_any_slope_between_will_do() -> None:
    exercise = declared(lambda x: np.array([max(float(each), 0.0) for each in x]), inputs=[{"x": X - 0.5}])
    assert exercise.check(lambda y, x: x >= 0).ok
    assert exercise.check(lambda y, x: x > 0).ok
    assert not exercise.check(lambda y, x: 1).ok


def test_a_tie_follows_the_convention() -> None:
    exercise = declared(lambda x: np.max(x), write="vjp", inputs=[{"x": np.array([2.0, 2.0, 1.0])}])
    assert exercise.check(lambda g, y, x: g * (x == y) / np.sum(x == y)).ok
    assert "at the kink x[0], where x is 2" in str(exercise.check(lambda g, y, x: g * np.array([1.0, 0.0, 0.0])))


def test_an_operation_with_a_rule_of_its_own_is_marked_without_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "_OPERATIONS", {})
    wrong = tg.elementwise(lambda x: np.log1p(np.square(x)), lambda y, x: -x, name="trial_operation")
    assert declared(wrong).check(lambda y, x: 2 * x / (1 + x * x)).ok
    assert not declared(wrong).check(lambda y, x: -x).ok


def test_marking_enters_no_operation() -> None:
    before = registry.operations()
    tg.exercises.start("exp").check(lambda y, x: -y)
    tg.exercises.start("bias").check(lambda g, y, x, b: -g.sum(axis=0))
    assert registry.operations() == before


@pytest.mark.parametrize(
    ("changes", "kind", "words"),
    [
        ({"write": "gradient"}, InputError, "write is 'derivative', 'vjp' or 'numbers'"),
        ({"inputs": []}, InputError, "got none"),
        ({"inputs": [{}]}, InputError, "got none"),
        ({"by": "w"}, InputError, "to differentiate with respect to w"),
        ({"inputs": [{"x": X}, {"z": X}]}, InputError, "the same arguments, x"),
        ({"inputs": [{"x": np.array([1, 2])}]}, InputError, "x must hold real numbers, got int64"),
        ({"inputs": [{"x": np.array([])}]}, InputError, "x must hold real numbers"),
        ({"inputs": [{"x": np.zeros(1001)}]}, InputError, "at most 1,000 entries"),
        ({"inputs": [{"x": np.array([1e200])}]}, InputError, "finite real numbers"),
        ({"function": np.sum}, ShapeError, "ask for write='vjp'"),
    ],
)
def test_a_declaration_that_cannot_be_marked(changes: dict[str, Any], kind: type[Exception], words: str) -> None:
    with pytest.raises(kind, match=words):
        declared(**changes)


def test_the_name_is_a_files_too() -> None:
    with pytest.raises(InputError, match="an identifier"):
        tg.exercises.declare("two words", "", np.exp, write="vjp", inputs=[{"x": X}])


@pytest.mark.parametrize("inputs", [{"x": X}, [X], [("x", X)]])
def test_inputs_are_a_list_of_trials(inputs: Any) -> None:
    with pytest.raises(InputError, match="a list of trials, each a dict of arguments by name"):
        declared(inputs=inputs)


BRACKETS = [
    ("derivative", "y * 1 - y"),
    ("derivative", "np.exp(-x) / (1 + np.exp(-x)) * (1 + np.exp(-x))"),
]


@pytest.mark.long
@pytest.mark.parametrize(("write", "wrong"), BRACKETS)
@pytest.mark.parametrize("form", ["file", "function", "lambda"])
def test_missing_brackets_are_found_in_each_form_of_a_submission(
    write: str, wrong: str, form: str, tmp_path: Path
) -> None:
    code = f"import numpy as np\n\nKEPT = 1\n\n\ndef {write}(y, x):\n    return KEPT * ({wrong})\n"
    if form == "lambda":
        code = f"import numpy as np\n\nKEPT = 1\n{write} = lambda y, x: KEPT * ({wrong})\n"
    file = tmp_path / "sigmoid.py"
    file.write_text(code)
    exercise = tg.exercises.start("sigmoid")
    mark = exercise.check_file(file) if form != "function" else exercise.check(getattr(loaded(file), write))
    assert mark.misconception == "brackets", str(mark)


def test_a_function_without_its_code_is_marked_as_it_is() -> None:
    scope: dict[str, Any] = {}
    exec("def derivative(y, x):\n    return y * 1 - y", scope)
    assert tg.exercises.start("sigmoid").check(scope["derivative"]).misconception == "left_out"


@pytest.mark.parametrize(("seconds", "tried"), [(60.0, True), (-1.0, False)])
def test_a_slow_submission_keeps_its_time_for_its_mark(
    seconds: float, tried: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Other brackets are tried for a while, however many places there are for them."""
    monkeypatch.setattr(marking, "_TRYING", seconds)
    file = tmp_path / "square.py"
    terms = " + ".join(["x * 0 - y * 0"] * 8)
    file.write_text(f"calls = []\ndef derivative(y, x):\n    calls.append(x)\n    return 2 * y + {terms}\n")
    module = loaded(file)
    assert tg.exercises.start("square").check(module.derivative).misconception == "output_for_input"
    assert (len(module.calls) > 200) == tried
