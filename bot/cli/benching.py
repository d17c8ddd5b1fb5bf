"""Measure, judge, measure again what may be a signal, explain what is one, and report: shared by `bench` and `nightly`.

Promises that a verdict of a long run is not lost to whatever comes after it: without plots there is no page, and an
interruption of the second run leaves the first one's verdict, which says that it is not confirmed.
"""

from __future__ import annotations

import math
import pathlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bot import quantities
from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Concluding, Judging, Method

if TYPE_CHECKING:
    from bot.verdict import Policy, Verdict
    from harness.session import Session

VERDICT, COMMENT, PAGE, EXPLANATION = "verdict.json", "comment.md", "index.html", "explanation.json"
COUNT_LIMIT_SECONDS = 40.0
"""Estimated time of counting one build's instructions that is begun; `torchwarden explain` waits longer."""
MOST_EXPLAINED = 5
"""Signals that are explained, the largest ones, for each takes a minute or more; `torchwarden explain` does others."""


def check(method: Method, judging: Judging, concluding: Concluding, reference: pathlib.Path | None) -> Policy:
    """The policy, once everything is checked that can be before anything is installed or measured. Raises UserError."""
    from bot import reference as references
    from bot.cli import judged

    destinations.check_new_folder(concluding.out_dir)
    _second_budget(concluding)
    policy = judged.policy_of(judging, quantities.percentage(method.threshold, "--threshold"))
    if reference is not None:
        references.load(reference)
    return policy


def run(
    session: Session, policy: Policy, judging: Judging, concluding: Concluding, reference: pathlib.Path | None
) -> int:
    """Measure the session, judge it, and print and write what there is to say; the exit code of the verdict."""
    from bot import report, verdict
    from bot.cli import judged, measuring, showing

    folder = concluding.out_dir
    folder.mkdir(parents=True, exist_ok=True)
    measured = measuring.measure(session, destinations.fresh_run(folder))
    if measured.effort:
        print(measured.effort)
    if not measured.finished:
        print(f"interrupted; {measuring.summary(measured, session.plan)} and kept in {measured.path}")
        print(f"go on with `torchwarden run --resume --out {measured.path}` and the same options, then judge that file")
        return INTERRUPTED

    def judge(confirmations: Sequence[pathlib.Path] = (), explanation: pathlib.Path | None = None) -> Verdict:
        return judged.judge(
            [measured.path],
            judging,
            reference=reference,
            threshold=None,
            confirmations=confirmations,
            explanation=explanation,
        )

    found = judge()
    confirmations = _confirmed(session, policy, found, concluding)
    if confirmations:
        found = judge(confirmations)
    explanation = _explained(session, found, measured.path, concluding)
    if explanation is not None:
        found = judge(confirmations, explanation)
    comment = report.render(found, "comment")
    destinations.write(folder / VERDICT, verdict.encode(found).decode())
    destinations.write(folder / COMMENT, comment)
    page = _write_page(found, folder / PAGE)
    showing.show(found)
    print(f"\nThe comment as it would be on the pull request ({folder / COMMENT}):\n")
    showing.write(comment)
    print(f"\nsamples: {measured.path}\nverdict: {folder / VERDICT}\npage:    {page}")
    return verdict.EXIT_CODES[found.outcome]


def _second_budget(concluding: Concluding) -> float | None:
    given = concluding.confirm_budget
    return None if given is None else quantities.duration(given, "--confirm-budget")


def _confirmed(session: Session, policy: Policy, found: Verdict, concluding: Concluding) -> list[pathlib.Path]:
    """The file of a second run of the suspect tests; none where there are none, or it was interrupted."""
    from bot import numbers
    from bot.cli import confirming, measuring
    from bot.policy import rule

    if not concluding.confirm or not rule(policy).intervals:
        return []
    second = confirming.session_for(session, found, _second_budget(concluding))
    if second is None:
        return []
    print(f"measuring again what may be a signal: {numbers.count(len(second.plan.tests), 'test')}", file=sys.stderr)
    confirmed = measuring.measure(second, destinations.fresh_run(concluding.out_dir, "confirm"))
    if not confirmed.finished:
        print("interrupted while measuring again; what follows is not confirmed")
    return [confirmed.path] if confirmed.finished else []


def _explained(session: Session, found: Verdict, path: pathlib.Path, concluding: Concluding) -> pathlib.Path | None:
    """The file of what explains the largest signals; None where there is nothing to explain or to compare with."""
    from bot import explanation, numbers
    from bot.cli import explaining
    from harness import records
    from harness.errors import UserError

    signals = [entry for entry in found.tests if entry.signal and entry.change is not None]
    if not concluding.explain or session.plan.base is None or not signals:
        return None
    signals.sort(key=lambda entry: -abs(math.log1p(entry.change or 0.0)))
    if len(signals) > MOST_EXPLAINED:
        print(f"the {MOST_EXPLAINED} largest of {numbers.count(len(signals), 'signal')} are explained", file=sys.stderr)
    try:
        told = explaining.explain(
            session,
            [entry.test for entry in signals[:MOST_EXPLAINED]],
            run=records.read(path),
            limit_seconds=COUNT_LIMIT_SECONDS,
        )
    except UserError as error:
        print(f"nothing could be explained: {error}", file=sys.stderr)
        return None
    place = concluding.out_dir / EXPLANATION
    destinations.write(place, explanation.encode(told))
    return place


def _write_page(found: Verdict, path: pathlib.Path) -> str:
    """Write the page and return where it is, or why there is none: that must not cost the verdict of a long run."""
    from bot import report
    from harness.errors import UserError

    # The page of an earlier run would pass for this one's.
    path.unlink(missing_ok=True)
    try:
        destinations.write(path, report.render(found, "html"))
    except UserError as error:
        return f"none: {error}"
    return str(path)
