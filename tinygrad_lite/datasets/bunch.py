"""`Bunch`, the type that the loaders return."""

from typing import Any


class Bunch(dict[str, Any]):
    """A dictionary whose values are attributes as well, as in scikit-learn.

    Example:
        >>> Bunch(data=[1.0]).data
        [1.0]
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"there is no {name!r} here, only {', '.join(self)}") from None

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]
