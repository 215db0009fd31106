"""Names and comments in C: an identifier for whatever name there is, and text that stays within its comment."""

import re
import unicodedata
from collections.abc import Iterable

from tinygrad_lite.compiler.identifiers import identifier

_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while asm typeof
bool true false NULL NAN INFINITY HUGE DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS EOF BUFSIZ
errno assert stdin stdout stderr linux unix i386 fpclassify isfinite isinf isnan isnormal signbit
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs floor fmax fmin fmod
hypot lgamma log log10 log1p log2 nearbyint pow sin sinh sqrt tan tanh trunc
"""
_RESERVED = frozenset(_WORDS.split())
_PATTERN = re.compile(
    r"\w+_t|((FP|M|MATH|HUGE|SIZE|PTRDIFF|WCHAR|WINT|X|LC|SIG|SIG_ATOMIC)_|U?INT(\d|MAX|PTR|_))[A-Z0-9_]*"
)
"""The forms of the names of types and of macros."""


class Names:
    """Identifiers for the things in one scope, all different.

    Attributes:
        taken: the names that already mean something there.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self.taken = set(taken)

    def new(self, name: str | None) -> str:
        """An identifier like this name."""
        base = _identifier(name or "value")
        made, count = base, 1
        while made in self.taken:
            count += 1
            made = f"{base}_{count}"
        self.taken.add(made)
        return made


def _identifier(name: str) -> str:
    letters = unicodedata.normalize("NFKD", identifier(name)).encode("ascii", "replace").decode()
    made = re.sub(r"\W+", "_", letters, flags=re.ASCII).strip("_") or "value"
    made = made if made[0].isalpha() else f"layer_{made}"
    is_reserved = {made, made.removesuffix("f")} & _RESERVED or _PATTERN.fullmatch(made)  # expf is exp of float
    return f"{made}_" if is_reserved else made


def comment(text: str) -> str:
    """A text as a part of a comment: in ASCII, on one line, and without marks that begin or end a comment."""
    plain = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    plain = plain.encode("ascii", "backslashreplace").decode()
    return plain.replace("*/", "* /").replace("/*", "/ *")
