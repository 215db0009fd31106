"""What a learner may have meant whose code was written as on paper, or for a single number."""

_WHOLE = "it is called with whole arrays: "
_PRODUCT = "a product is written with *, as in 2 * (x + 1)"
_POWER = "a power is written with **, as in x**2"
_NUMPYS = "NumPy's functions and numbers begin with np., as np.exp(x) and np.e do"
_ADVICE = {
    "truth value of an array": _WHOLE + "choose entry by entry, with np.where(condition, a, b)",
    "can be converted to Python scalars": _WHOLE + "write NumPy's functions, such as np.exp, in place of those of math",
    "bitwise_xor": f"{_POWER}: in Python, ^ is another operation",
    "for ^: ": f"{_POWER}: in Python, ^ is another operation",
    "object is not callable": _PRODUCT,
    "invalid decimal literal": _PRODUCT,
    "name 'np' is not defined": "NumPy is called np once it is imported: begin with `import numpy as np`",
    "name 'numpy' is not defined": "NumPy is called np here, once it is imported: begin with `import numpy as np`",
    "name 'tg' is not defined": "begin with `import tinygrad_lite as tg`",
    "name 'nn' is not defined": "begin with `from tinygrad_lite import nn`",
    "'float' object has no attribute 'backward'": "it is a plain number, as float() and functions of math make of a "
    "tensor: write NumPy's functions, such as np.sin",
    **{
        f"name '{name}' is not defined": _NUMPYS
        for name in ("e", "pi", "exp", "log", "ln", "sin", "cos", "tanh", "sqrt", "maximum", "where", "zeros", "ones")
    },
    **{
        f"invalid character '{character}'": advice
        for characters, advice in {
            "−–—": "a minus is written with the - of the keyboard",
            "×·⋅∙": _PRODUCT,
            "÷⁄∕": "a quotient is written with /",
            "⁰¹²³⁴⁵⁶⁷⁸⁹ⁿ": _POWER,
            "“”„‘’": "text stands between straight quotes",
        }.items()
        for character in characters
    },
}


def advice_on(error: BaseException) -> str:
    """What to do about an error where Python's message does not say it; empty if that is not known."""
    if isinstance(error, SyntaxError) and (error.text or "").lstrip().startswith((">>>", "...")):
        return "leave out the prompts, >>> and ..."
    known = next((advice for words, advice in _ADVICE.items() if words in str(error)), "")
    return known or (_on_name(error) if isinstance(error, NameError) else "")


def _on_name(error: NameError) -> str:
    """What to write in place of a name that is not there: that of an argument, or a formula."""
    name, traceback = error.name or "", error.__traceback__
    while traceback is not None and traceback.tb_next is not None:
        traceback = traceback.tb_next
    there = [] if traceback is None else [x for x in traceback.tb_frame.f_locals if not x.startswith("_")]
    alike = next((x for x in there if x.lower() == name.lower()), "")
    if alike:
        return f"it is called {alike} here: capital letters and small ones differ"
    if name in ("i", "j", "k"):
        return _WHOLE + "no index is needed, since NumPy computes entry by entry"
    if len(name) > 1 and name[0] in "d∂" and name[1:] in (*there, "y", "x"):
        return f"{name} is no name of Python's: write the formula of the derivative, with {', '.join(there)}"
    return ""
