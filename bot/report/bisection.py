"""A search's result for a person at a terminal, as plain text.

Promises that a culprit is named with its probability and its proof, that what is not sure is said first, and that no
control character of a commit's subject or of a log reaches the terminal.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bot import numbers
from bot.bisect import Candidate, Outcome
from bot.bisection import Blame, Change, Proof, Result, Row, TestFinding
from bot.report.escaping import clean

SUBJECT_CHARACTERS = 50

_HEADLINES: dict[Outcome, str] = {
    "regressed": "culprit found",
    "improved": "found what made it faster",
    "unchanged": "nothing to find: the ends do not differ",
    "inconclusive": "inconclusive",
}
_TRIALS = {"parent": "against its parent", "revert": "the newest without it"}
_SHOWN = {True: "shown", False: "NOT shown", None: "not possible"}


def render(result: Result) -> str:
    """The report as text."""
    return "\n".join(_lines(result)) + "\n"


def _lines(result: Result) -> Iterator[str]:
    yield f"{_HEADLINES[result.outcome]} · {_span(result)}"
    if not result.complete:
        yield "The budget ended before the search: go on with the same command, --state, --resume and more of it."
    for finding in result.tests:
        yield ""
        yield from _found(finding, result)
    yield ""
    yield f"measured against {_name(result.first)}:"
    yield from _table(result)
    if result.skipped:
        yield ""
        yield "passed over, for they could not be built:"
        for one in result.skipped:
            told = f" (log: {clean(one.log, 300)})" if one.log else ""
            yield f"  {_name(one.candidate)}: {clean(one.reason, 300)}{'' if one.log in one.reason else told}"
    yield ""
    yield f"search again: {clean(result.command, 4000)}"


def _span(result: Result) -> str:
    builds = numbers.count(result.builds, "build")
    took = numbers.duration(result.elapsed_seconds)
    among = numbers.count(result.candidates, "candidate")
    return f"{among} from {clean(result.first.label)} to {clean(result.last.label)} · {builds} · {took}"


def _found(finding: TestFinding, result: Result) -> Iterator[str]:
    ends = f": {_change(finding.ends)} from end to end" if finding.ends is not None else ""
    yield f"{clean(finding.test)}{ends}"
    if finding.state == "same":
        yield f"  the ends do not differ by {numbers.setting(result.smallest)} or more; there is nothing to find"
    elif finding.reason:
        yield f"  undecided: {clean(finding.reason, 300)}"
    elif finding.state != "found":
        yield "  no culprit is sure; it may be in"
        for blame in finding.likeliest:
            yield f"    {_name(blame.range[0])} to {_name(blame.range[-1])}: {_probability(blame)}"
        if finding.several is not None and finding.several > 1 - result.confidence:
            yield f"  that no single step explains it has probability {finding.several:.2f}"
    for blame in finding.culprits:
        yield from _blamed(blame)


def _blamed(blame: Blame) -> Iterator[str]:
    last = blame.range[-1]
    slower = "slower" if blame.change > 0 else "faster"
    size = f"{numbers.signed_percent(blame.change)} {slower}" if not blame.proofs else slower
    if len(blame.range) == 1:
        yield f"  {_probability(blame)} {size}: {_name(last, full=True)}"
    else:
        yield f"  {_probability(blame)} {size}: one of {len(blame.range)} that cannot be told apart"
        for candidate in blame.range:
            yield f"    {_name(candidate, full=True)}"
    for proof in blame.proofs:
        yield f"    {_TRIALS[proof.kind]}: {_tried(proof)}"
    if not blame.proven:
        yield "    NOT PROVEN: take it for a suspicion"


def _tried(proof: Proof) -> str:
    shown = _SHOWN[proof.shown]
    if proof.change is None:
        return f"{shown} ({clean(proof.reason, 300)})" if proof.reason else shown
    return f"{_change(proof.change)} ({numbers.count(proof.change.launches, 'launch', 'launches')}), {shown}"


def _probability(blame: Blame) -> str:
    # Never a certainty: the model itself may be wrong.
    return f"probability {blame.probability:.3f}" if blame.probability < 0.9995 else "probability >0.999"


def _change(change: Change) -> str:
    return numbers.change(change.change, change.low, change.high)


def _name(candidate: Candidate, *, full: bool = False) -> str:
    if not candidate.commit:
        return clean(candidate.label)
    subject = clean(candidate.subject, SUBJECT_CHARACTERS)
    author = f" ({clean(candidate.author, 60)})" if full and candidate.author else ""
    return f"{candidate.commit if full else candidate.commit[:12]} {subject}{author}"


def _table(result: Result) -> Iterator[str]:
    tests = [finding.test for finding in result.tests]
    heads = [clean(test) for test in tests]
    rows = [["", "build", *heads], *(_cells(row, tests) for row in result.evidence)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        place, build, *cells = (cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        yield "  ".join(["", place, build, *cells]).rstrip()


def _cells(row: Row, tests: Sequence[str]) -> list[str]:
    cells = []
    for test in tests:
        change = row.changes.get(test)
        if change is not None:
            cells.append(f"{_change(change)} ({numbers.count(change.launches, 'launch', 'launches')})")
        else:
            cells.append(clean(row.failures.get(test, "–"), 40))
    return [str(row.position), _name(row.candidate), *cells]
