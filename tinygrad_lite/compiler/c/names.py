"""Names and comments in C: whatever something is called, the text has an identifier for it, and stays a comment."""

import re
import unicodedata
from collections.abc import Iterable

from tinygrad_lite.compiler.naming import identifier

_WORDS = """
auto break case char const continue default do double else enum extern float for goto if inline int long register
restrict return short signed sizeof static struct switch typedef union unsigned void volatile while bool true false asm
typeof linux unix i386 NULL NAN INFINITY HUGE DOMAIN SING OVERFLOW UNDERFLOW PLOSS TLOSS
j0 j1 jn y0 y1 yn gamma signgam scalb significand drem pow10 scalbl
abort abs atexit atof atoi atol atoll bsearch calloc div exit free getenv labs ldiv llabs lldiv malloc mblen qsort rand
realloc srand system
acos acosh asin asinh atan atan2 atanh cbrt ceil copysign cos cosh erf erfc exp exp2 expm1 fabs fdim floor fma fmax fmin
fmod frexp hypot ilogb ldexp lgamma llrint llround log log10 log1p log2 logb lrint lround modf nan nearbyint nextafter
nexttoward pow remainder remquo rint round scalbln scalbn sin sinh sqrt tan tanh tgamma trunc fpclassify signbit
carg casin casinh catan catanh cabs cacos cacosh ccos ccosh cexp cimag clog conj cpow cproj creal csin csinh csqrt ctan
ctanh
clearerr fclose feof ferror fflush fgetc fgetpos fgets fopen fprintf fputc fputs fread freopen fscanf fseek fsetpos
ftell fwrite getc getchar gets perror printf putc putchar puts remove rename rewind scanf setbuf setvbuf snprintf
sprintf sscanf tmpfile tmpnam ungetc vfprintf vfscanf vprintf vscanf vsnprintf vsprintf vsscanf
asctime clock ctime difftime gmtime localtime mktime time raise signal longjmp setjmp localeconv setlocale assert errno
main close open read write alloca bcmp bcopy bzero ffs index rindex dcgettext dgettext gettext execl execle execlp execv
execve execvp fork isatty
isalnum isalpha isblank iscntrl isdigit isgraph islower isprint ispunct isspace isupper isxdigit tolower toupper isascii
toascii isfinite isinf isnan isnormal isgreater isgreaterequal isless islessequal islessgreater isunordered
memchr memcmp memcpy memmove memset mempcpy strcat strchr strcmp strcoll strcpy strcspn strerror strlen strncat strncmp
strncpy strpbrk strrchr strspn strstr strtok strxfrm strtod strtof strtol strtold strtoll strtoul strtoull stpcpy
stpncpy strdup strndup strcasecmp strncasecmp strfmon strftime
"""
_RESERVED = frozenset(_WORDS.split())
_PATTERN = re.compile(
    r"\w+_t|((FP|M|MATH|HUGE|SIZE|PTRDIFF|WCHAR|WINT|X|LC|SIG|SIG_ATOMIC)_|U?INT(\d|MAX|PTR|_))[A-Z0-9_]*"
)
"""The forms of the types and macros in the files that we include."""


class Names:
    """Identifiers for the things in one scope, all different.

    Attributes:
        taken: those that mean something there.
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
    suffixed = made.removesuffix("f").removesuffix("l")  # the functions of float and long double
    is_reserved = made in _RESERVED or suffixed in _RESERVED or _PATTERN.fullmatch(made)
    return f"{made}_" if is_reserved else made


def comment(text: str) -> str:
    """A text as a part of a comment: in ASCII, on one line, and without marks that begin or end a comment."""
    plain = "".join(letter if letter.isprintable() else letter.encode("unicode_escape").decode() for letter in text)
    plain = plain.encode("ascii", "backslashreplace").decode()
    return plain.replace("*/", "* /").replace("/*", "/ *")
