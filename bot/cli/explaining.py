"""From a session to explanations: shared by `explain` and whatever confirms a signal before anyone is told.

    explanations = explaining.explain(session, [entry.test for entry in found.tests if entry.signal], run=run)
    destinations.write(path, explanation.encode(explanations))

The verdict takes them up when it is judged again: `replay.judge_files(runs, ..., explanation=path)`.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot import quantities
from bot.explanation import Explanation, Explanations
from harness.errors import UserError

if TYPE_CHECKING:
    from harness.records import Run
    from harness.session import Session


def explain(
    session: Session,
    tests: Sequence[str],
    *,
    run: Run | None = None,
    run_id: str = "",
    limit_seconds: float | None = None,
) -> Explanations:
    """Gather evidence on these tests in the base and head of a session, and say what explains their change.

    `run` is the run that was judged, measured by the session or one like it: it gives the explanations their id, and
    the figures that timing brings along. Without it those are measured again, briefly, and `run_id` is the id.
    `limit_seconds` bounds the estimated time of counting one build's instructions (0: none are counted). Says on stderr
    which test it is at. Raises UserError for a test that is not in the session, and for a session without base.
    """
    from bot import attribution
    from harness import __version__, callgrind, evidence

    limit = callgrind.LIMIT_SECONDS if limit_seconds is None else limit_seconds
    found: list[Explanation] = []
    unique = list(dict.fromkeys(tests))
    gathered = evidence.gather(session, unique, run=run, limit_seconds=limit)
    for number, test in enumerate(unique, 1):
        # Before and not after: it takes a minute or more.
        print(f"explaining {test} ({number} of {len(unique)})", file=sys.stderr, flush=True)
        found.append(attribution.explanation(next(gathered)))
    # Asking for one more ends the pool.
    assert next(gathered, None) is None, "there is evidence on each test once"
    return Explanations(run=run.header.run if run is not None else run_id, tool_version=__version__, tests=tuple(found))


def text(explanations: Explanations) -> str:
    """The explanations for a terminal: a test and its lines, and what could not be had."""
    from bot import numbers
    from bot.report.escaping import clean

    shown = []
    for one in explanations.tests:
        change = f" {numbers.signed_percent(one.change)}" if one.change is not None else ""
        shown.append(f"{clean(one.test)}{change}")
        shown += [f"  {clean(line, 1000)}" for line in one.lines]
        shown += [f"  no {clean(kind)}: {clean(why, 300)}" for kind, why in one.skipped.items()]
    return "\n".join(shown)


def wanted(signals: Sequence[str], known: Sequence[str], asked: str | None) -> list[str]:
    """The tests to explain: those asked for, else the signals. Raises UserError where there is none, or no such."""
    from harness import plan

    if asked is None:
        if not signals:
            raise UserError("the verdict holds no signal to explain; name tests with --tests")
        return list(signals)
    # A test's name holds no comma.
    names = list(quantities.words(asked, "--tests"))
    for name in names:
        if name not in known:
            raise UserError(plan.unknown("test", name, known, "of this verdict"))
    return names
