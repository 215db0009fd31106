"""The plugin for pytest: the fixture and the marker `gradcheck`, and `pytest --gradcheck`.

It is beside the package and not in it, since every run of pytest imports it, and the package would import NumPy.
"""

import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--gradcheck`."""
    parser.getgroup("tinygrad_lite").addoption(
        "--gradcheck",
        action="store_true",
        help="also check the gradient of every FUNCTION in a Python file that declares FUNCTION_inputs",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Add the marker."""
    config.addinivalue_line(
        "markers",
        "gradcheck(**settings): checks the gradient of the value that the test returns, by the test's arguments; with "
        "the fixture gradcheck among them, only sets how that checks. Settings are those of tinygrad_lite.gradcheck",
    )


@pytest.fixture
def gradcheck(request: pytest.FixtureRequest) -> Callable[..., Any]:
    """`tinygrad_lite.gradcheck`, with the settings of the marker; if it fails, pytest shows none of its own lines."""
    from tinygrad_lite import gradcheck as check
    from tinygrad_lite.checking.user_errors import users_part

    settings = _settings(request.node)

    def gradcheck(f: Callable[..., Any], *inputs: Any, **own: Any) -> Any:
        __tracebackhide__ = True
        try:
            return check(f, *inputs, **settings | own)
        except Exception as error:
            error.__traceback__ = users_part(error.__traceback__)
            raise

    return gradcheck


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Check the gradient of what a marked test returns."""
    is_marked = any(marker.name == "gradcheck" for marker in pyfuncitem.own_markers)
    if not is_marked or "gradcheck" in pyfuncitem.fixturenames:
        return None
    names = [name for name in inspect.signature(pyfuncitem.obj).parameters if name in pyfuncitem.funcargs]
    _check(pyfuncitem.obj, [pyfuncitem.funcargs[name] for name in names], _settings(pyfuncitem))
    return True


class DeclaredFunction(pytest.Item):
    """The check of a function for which a file declares inputs."""

    def runtest(self) -> None:
        """Check it."""
        from tinygrad_lite.checking.declared import attribute, gradient_of, inputs_of

        module: Any = self.parent
        gradient = gradient_of(module.obj, self.name)
        _check(
            attribute(module.obj, self.name), inputs_of(module.obj, self.name), {"gradient": gradient} | _settings(self)
        )

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """An error in the file, from where it enters the file."""
        excinfo.traceback = excinfo.traceback.cut(path=self.path)
        return super().repr_failure(excinfo, style)

    def reportinfo(self) -> tuple[Path, None, str]:
        """Where it is."""
        return self.path, None, self.name


class DeclaringFile(pytest.Module):
    """A file that declares inputs for functions, and is imported only then."""

    def collect(self) -> Iterator[DeclaredFunction]:
        """One item for each function."""
        from tinygrad_lite.checking.declared import functions_in

        try:
            names = functions_in(self.path.read_text(encoding="utf-8"))
        except (SyntaxError, UnicodeDecodeError):  # whoever imports it will say so
            return
        for name in names:
            item = DeclaredFunction.from_parent(self, name=name)
            item.add_marker("gradcheck")
            yield item


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> DeclaringFile | None:
    """With `--gradcheck`, look for declarations in Python files."""
    if file_path.suffix == ".py" and parent.config.getoption("gradcheck"):
        return DeclaringFile.from_parent(parent, path=file_path)
    return None


def _settings(node: pytest.Item) -> dict[str, Any]:
    """The settings of the markers, of which the nearest counts."""
    settings: dict[str, Any] = {}
    for marker in reversed(list(node.iter_markers("gradcheck"))):
        settings |= marker.kwargs
    return settings


def _check(f: Callable[..., Any], inputs: Any, settings: dict[str, Any]) -> None:
    """Pass, or fail with the report alone; an error in the user's code is raised as from there."""
    __tracebackhide__ = True
    from tinygrad_lite import gradcheck
    from tinygrad_lite.checking.user_errors import users_part

    try:
        gradcheck(f, *inputs, **settings)
        return
    except Exception as error:
        failure = error.with_traceback(users_part(error.__traceback__))
    if failure.__traceback__:
        raise failure
    pytest.fail(str(failure), pytrace=False)
