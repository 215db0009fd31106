"""What a tensor says to those who call it as PyTorch's."""

import copy

import numpy as np
import pytest

import tinygrad_lite as tg
from tinygrad_lite import elsewhere
from tinygrad_lite.errors import UsageError

NAMES = {
    **elsewhere._METHODS,
    "roll": "np.roll(x)",
    "median": "np.median(x)",
    "add_": "x.at[index].set(values)",
    "zero_": "x.data = value",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_method_of_pytorchs_names_what_to_write(name: str) -> None:
    x = tg.tensor(np.ones((2, 3)), requires_grad=True)
    with pytest.raises(AttributeError) as caught:
        getattr(x, name)
    assert f"a Tensor has no attribute {name!r}: write " in str(caught.value)
    assert NAMES[name] in str(caught.value)
    assert not hasattr(x, name)


def test_other_names_and_protocols() -> None:
    x = tg.tensor([1.0])
    with pytest.raises(AttributeError, match=r"^'Tensor' object has no attribute 'nonsense'$"):
        x.nonsense
    assert not hasattr(x, "__deepcopy__")
    assert not NAMES.keys() & set(dir(x))
    np.testing.assert_array_equal(copy.deepcopy(x), x)


@pytest.mark.parametrize(("name", "ours"), elsewhere._ARGUMENTS.items())
def test_an_argument_of_pytorchs_names_numpys(name: str, ours: str) -> None:
    with pytest.raises(UsageError, match=rf"sum: {name}=1 is written {ours}=1, as in NumPy; it takes axis="):
        tg.tensor(np.ones((2, 3))).sum(**{name: 1})
