"""The report of a gradient check: a verdict on each entry, and for each mistake what is wrong, where, and why."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from enum import StrEnum
from functools import cached_property
from html import escape
from typing import Any, Literal

import numpy as np

from tinygrad_lite.errors import InputError, MissingExtraError, UsageError


class Verdict(StrEnum):
    """The verdict on one entry of a gradient."""

    RIGHT = "right"
    WRONG = "wrong"
    KINK = "at a kink"
    KINKS_MEET = "where kinks meet"
    JUMP = "at a jump"
    DOMAIN = "outside the domain"
    NOISY = "too noisy to say"
    NOT_FINITE = "not finite"
    NOT_DETERMINISTIC = "not deterministic"
    NO_GRADIENT = "no gradient"
    NOT_CHECKED = "not checked"
    HELD_FIXED = "held fixed"


FAILING = frozenset({Verdict.WRONG, Verdict.DOMAIN, Verdict.NOT_FINITE, Verdict.NOT_DETERMINISTIC})
UNVERIFIED = FAILING | {Verdict.KINKS_MEET, Verdict.JUMP, Verdict.NOISY, Verdict.NOT_CHECKED}

_NAMED = 8  # the largest number of arrays that a line names
_OUTCOMES = {"passed": "passed", "failed": "FAILED", "inconclusive": "INCONCLUSIVE"}


@dataclass(frozen=True)
class Checked:
    """The gradient of one array, entry by entry.

    Attributes:
        path: the name of the array: `x`, `params.w`, `hidden.weight`.
        gradient, reference, bound: the gradient to check, the right gradient, and the largest possible error of the
            latter, of shape (rows, *shape). The reference of an entry that was only checked along directions is NaN.
        verdicts: the verdict on each entry, in the same shape.
    """

    path: str
    shape: tuple[int, ...]
    gradient: Any
    reference: Any
    bound: Any
    verdicts: Any

    @property
    def error(self) -> Any:
        """The distance of each entry from its reference."""
        return np.abs(self.gradient - self.reference)


@dataclass(frozen=True)
class Finding:
    """Entries of one array with the same finding.

    Attributes:
        count, of: the number of these entries, and of all entries.
        index: the worst entry; `row` is the result that it is the derivative of.
        fails: whether it makes the check fail.
        where: the operation that causes it and the user's line that called it, if they are known.
        why: what the mistake looks like.
    """

    verdict: Verdict
    path: str
    count: int
    of: int
    index: tuple[int, ...]
    row: int | None
    gradient: float
    reference: float
    bound: float
    fails: bool
    where: str = ""
    why: str = ""

    def __str__(self) -> str:
        return self.text()

    def text(self, known_from: str = "") -> str:
        """The finding in lines; its cause may be known from that of another array."""
        entry = f"{self.path}[{', '.join(map(str, self.index))}]" if self.index else self.path
        result = "" if self.row is None else f" (of result {self.row})"
        many = "" if self.of == 1 else f", {self.count} of {self.of} entries"
        lines = [f"{entry}{result}: {self.verdict}{many}"]
        if self.verdict is not Verdict.NO_GRADIENT or self.fails:
            digits = self._digits()
            lines.append(f"gradient {_number(self.gradient, digits)}, {self._expected(digits)}")
        if known_from:
            lines.append(f"why: as for {known_from}")
            return "\n      ".join(lines)
        if self.where:
            lines.append(f"where: {self.where}")
        if self.why:
            lines.append(f"why: {self.why}")
        return "\n      ".join(lines)

    def _digits(self) -> int:
        """The number of digits that show the difference between the gradient and its reference."""
        if not self.fails or self.gradient == self.reference:
            return 6
        return next((n for n in range(6, 17) if _number(self.gradient, n) != _number(self.reference, n)), 17)

    def _expected(self, digits: int) -> str:
        if not np.isfinite(self.reference):
            return "which should be a number" if not np.isfinite(self.gradient) else "nothing to compare it with"
        is_exact = self.bound < np.finfo(float).eps * abs(self.reference)
        bound = f" ± {self.bound:.0e}" if self.bound and not is_exact else ""
        return f"should be {_number(self.reference, digits)}{bound}"


@dataclass(frozen=True)
class Report:
    """The result of `gradcheck`.

    Attributes:
        name: the function's name.
        method: how the reference was computed.
        remarks: further remarks, such as why no sharper method applied, or what was held fixed.
        checked: the arrays, in the order of the arguments.
        findings: the findings on entries that are not simply right.
        order: the order of the derivative.
        examination: the function and a copy of its arguments, for `plot`, which live as long as the report.
    """

    name: str
    method: str
    order: int
    checked: Sequence[Checked]
    findings: Sequence[Finding] = ()
    remarks: Sequence[str] = ()
    examination: Any = field(default=None, repr=False, compare=False)

    @property
    def outcome(self) -> Literal["passed", "failed", "inconclusive"]:
        """Passed if every entry was verified, failed if one is wrong, and otherwise inconclusive."""
        if any(finding.fails for finding in self.findings):
            return "failed"
        return "passed" if self.verified == self.entries else "inconclusive"

    @property
    def ok(self) -> bool:
        """Whether every entry was verified, so that the check passed."""
        return self.outcome == "passed"

    @property
    def entries(self) -> int:
        """The number of entries of the gradient, without those that are held fixed."""
        counts = self.counts()
        return sum(counts.values()) - counts.get(Verdict.HELD_FIXED, 0)

    @property
    def verified(self) -> int:
        """The number of entries that were found to be right, or to lie between the slopes on both sides of a kink."""
        failed = sum(finding.count for finding in self.findings if finding.fails and finding.verdict not in UNVERIFIED)
        unverified = sum(count for verdict, count in self.counts().items() if verdict in UNVERIFIED)
        return self.entries - unverified - failed

    def __getitem__(self, path: str) -> Checked:
        for argument in self.checked:
            if argument.path == path:
                return argument
        raise InputError(
            f"nothing called {path!r} was checked; there are {', '.join(argument.path for argument in self.checked)}"
        )

    def __iter__(self) -> Iterator[Checked]:
        return iter(self.checked)

    def counts(self) -> dict[Verdict, int]:
        """The number of entries with each verdict."""
        return dict(self._counts)

    @cached_property
    def _counts(self) -> dict[Verdict, int]:
        """The same, found once: there may be a million entries."""
        counts = {
            verdict: sum(int(np.sum(argument.verdicts == verdict)) for argument in self.checked) for verdict in Verdict
        }
        return {verdict: count for verdict, count in counts.items() if count}

    def __str__(self) -> str:
        counts = ", ".join(f"{count:,} {verdict}" for verdict, count in self.counts().items())
        if self.outcome == "inconclusive":
            counts = f"verified {self.verified:,} of {self.entries:,}: {counts}"
        head = f"gradcheck of {self.name}: {_OUTCOMES[self.outcome]} ({counts}; by {self.method})"
        lines = [head, *self._by_array()]
        causes: dict[tuple[str, str], str] = {}
        for finding in sorted(self.findings, key=lambda finding: not finding.fails):
            cause = finding.where, finding.why
            known_from = causes.get(cause, "") if all(cause) else ""
            causes.setdefault(cause, finding.path)
            lines.append(f"  {'✗' if finding.fails else '·'} {finding.text(known_from)}")
        return "\n".join([*lines, *(f"  note: {remark}" for remark in self.remarks)])

    def _by_array(self) -> Iterator[str]:
        """A line for a verdict, with the arrays that have it, if it helps to name them."""
        if len(self.checked) < 2 or not self.findings:
            return
        ordered = sorted(self.findings, key=lambda finding: finding.fails)
        worst = {finding.path: finding.verdict for finding in ordered}
        arrays: dict[Verdict, list[str]] = {}
        for argument in self.checked:
            shape = "×".join(map(str, argument.shape))
            name = f"{argument.path} ({shape})" if shape else argument.path
            arrays.setdefault(worst.get(argument.path, Verdict.RIGHT), []).append(name)
        for verdict in sorted(arrays, key=lambda verdict: verdict is Verdict.RIGHT):
            names = arrays[verdict]
            more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
            yield f"  {verdict}: {', '.join(names[:_NAMED])}{more}"

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr><td>{escape(argument.path)}</td><td>{'×'.join(map(str, argument.shape)) or 'number'}</td>"
            f"<td>{escape(_tally(argument))}</td><td style='text-align:right'>{_largest(argument.error)}</td>"
            f"<td style='text-align:right'>{_largest(argument.gradient)}</td></tr>"
            for argument in self.checked
        )
        findings = "".join(f"<li><pre style='margin:0'>{escape(str(finding))}</pre></li>" for finding in self.findings)
        notes = "".join(f"<li>{escape(remark)}</li>" for remark in self.remarks)
        return (
            f"<div><b>gradcheck of {escape(self.name)}: {_OUTCOMES[self.outcome]}</b>, by "
            f"{escape(self.method)}<table><thead><tr><th>array</th><th>shape</th><th>entries</th>"
            f"<th>largest error</th><th>largest gradient</th></tr></thead><tbody>{rows}</tbody></table>"
            f"<ul>{findings}{notes}</ul></div>"
        )

    def to_frame(self) -> Any:
        """Every entry as a row of a pandas frame: array, result, index, gradient, reference, error, bound, verdict.

        Raises:
            MissingExtraError: if pandas is not installed.
        """
        try:
            import pandas as pd
        except ImportError:
            raise MissingExtraError("to_frame", "pandas", "examples") from None
        columns: dict[str, list[Any]] = {
            name: [] for name in ("array", "result", "index", "gradient", "reference", "error", "bound", "verdict")
        }
        for argument in self.checked:
            for entry in np.ndindex(argument.gradient.shape):
                row, index = entry[0], entry[1:]
                values = (
                    argument.gradient[entry],
                    argument.reference[entry],
                    argument.error[entry],
                    argument.bound[entry],
                )
                for name, value in zip(columns, (argument.path, row, index, *values, str(argument.verdicts[entry]))):
                    columns[name].append(value)
        return pd.DataFrame(columns)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain Python for `json.dumps`: counts, each array, and each finding, but not each entry.

        Numbers that are not finite are None.
        """
        arrays = [
            {
                "path": argument.path,
                "shape": list(argument.shape),
                "largest_error": _peak(argument.error),
                "largest_gradient": _peak(argument.gradient),
            }
            for argument in self.checked
        ]
        findings = [{name: _finite(value) for name, value in asdict(finding).items()} for finding in self.findings]
        return {
            "name": self.name,
            "outcome": self.outcome,
            "order": self.order,
            "method": self.method,
            "entries": self.entries,
            "verified": self.verified,
            "counts": {str(verdict): count for verdict, count in self.counts().items()},
            "arrays": arrays,
            "findings": findings,
            "remarks": list(self.remarks),
        }

    def plot(self, kind: Literal["entries", "taylor", "steps"] = "entries") -> Any:
        """A Matplotlib figure with a panel for each array, or, of more than nine, for those with the largest errors.

        Args:
            kind: "entries" is a heat map of the error of each entry, in powers of ten of the largest gradient;
                "taylor" shows how fast the remainder of Taylor's formula vanishes with the step: as its square for a
                right gradient, in proportion to it for a wrong one; "steps" shows how far forward, central and
                extrapolated differences and the complex step are from the gradient, for steps of every size.

        Raises:
            MissingExtraError: if Matplotlib is not installed.
            UsageError: if the report comes from a file or another process, and the plot needs the function.
        """
        from tinygrad_lite.checking import plots

        if kind not in ("entries", "taylor", "steps"):
            raise InputError(f"kind must be one of entries, taylor, steps; got {kind!r}")
        title = str(self).partition("\n")[0]
        if kind != "entries" and self.examination is None:
            raise UsageError(f"a pickled report no longer has its function: call plot({kind!r}) before you pickle it")
        with np.errstate(all="ignore"):
            if kind == "entries":
                return plots.entries(title, self.checked, {"x": FAILING, "$?$": UNVERIFIED - FAILING})
            return (plots.taylor if kind == "taylor" else plots.steps)(title, self.checked, self.examination)

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"examination": None}  # most functions cannot be pickled


def _number(value: float, digits: int) -> str:
    return f"{value:.{digits}g}" if abs(value) < 1e16 else f"{value:.3e}"


def _largest(values: Any) -> str:
    peak = _peak(values)
    return "—" if peak is None else f"{peak:.2g}"


def _peak(values: Any) -> float | None:
    finite = values[np.isfinite(values)]
    return float(np.max(np.abs(finite))) if finite.size else None


def _finite(value: Any) -> Any:
    return None if isinstance(value, float) and not np.isfinite(value) else value


def _tally(argument: Checked) -> str:
    verdicts, counts = np.unique(argument.verdicts.astype(str), return_counts=True)
    return ", ".join(f"{count:,} {verdict}" for verdict, count in zip(verdicts, counts))
