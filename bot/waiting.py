"""The workflow runs that commands have started: which one is a command's, what is before it, how long it may take.

A run is known by its title: the workflows' `run-name` ends in "comment 123", the number of the comment that asked for
it. Promises that nothing here writes, and that an estimate comes from runs that were measured or is not made.
"""

from __future__ import annotations

import datetime
import itertools
import re
import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bot import numbers
from bot.calls import Refused
from bot.event import linkable
from bot.github import Client, WorkflowRun
from bot.report import escaping

MOST_RUNS = 100
"""Newest runs of a workflow that are looked at: one page."""
SAMPLE = 10
"""Finished runs that an estimate is made of."""

_WAITING = frozenset({"queued", "waiting", "pending", "requested"})
_RUNNING = "in_progress"
_ENDS = {
    "success": "✅ finished",
    "cancelled": "⚪ cancelled",
    "skipped": "⚪ skipped",
    "timed_out": "❌ ended, out of time",
}


@dataclass(frozen=True)
class Place:
    """Where a run stands: how many of its workflow are `before` it, how many run, and the median `seconds` of a run."""

    run: WorkflowRun
    before: int
    running: int
    seconds: float | None


def runs(client: Client, workflow: str) -> list[WorkflowRun]:
    """The newest runs of a workflow, newest first; none where it is not installed. Raises GithubError."""
    try:
        return list(itertools.islice(client.workflow_runs(workflow), MOST_RUNS))
    except Refused as error:
        if error.status != 404:
            raise
        return []


def asked_by(found: Iterable[WorkflowRun], comment: int) -> WorkflowRun | None:
    """The run that a comment asked for, the newest if there are several."""
    return next((one for one in found if re.search(rf"\bcomment {comment}$", one.display_title)), None)


def place(found: Sequence[WorkflowRun], run: WorkflowRun) -> Place:
    """Where a run stands among all of its workflow."""
    active = [one for one in found if one.id != run.id and one.status in (*_WAITING, _RUNNING)]
    lasted = [_seconds(one) for one in found if one.status == "completed" and one.conclusion == "success"]
    sample = [one for one in lasted if one is not None][:SAMPLE]
    return Place(
        run,
        sum(one.id < run.id for one in active),
        sum(one.status == _RUNNING for one in active),
        statistics.median(sample) if sample else None,
    )


def words(where: Place) -> str:
    """How far a run is, as Markdown with a link to it."""
    run = where.run
    link = f" ([run]({run.html_url}))" if linkable(run.html_url) else ""
    if run.status == "completed":
        end = run.conclusion or ""
        return f"{_ENDS.get(end, f'❌ ended with {escaping.code(end)}')}{link}"
    usual = f"such a run took {numbers.duration(where.seconds)} (median of the last)" if where.seconds else ""
    if run.status == _RUNNING:
        return f"▶ running{link}{'; ' + usual if usual else ''}"
    if not where.before:
        return f"🕐 waiting for a runner{link}{'; ' + usual if usual else ''}"
    line = f"🕐 waiting{link}, {numbers.count(where.before, 'run')} before it"
    if where.seconds is None:
        return line
    # As many as run now run at once; at least one does, or nothing would ever end.
    rounds = where.before / max(where.running, 1) + 1
    return f"{line}; done in about {numbers.duration(60 * max(1, round(rounds * where.seconds / 60)))}, for {usual}"


def table(found: Iterable[tuple[str, WorkflowRun]]) -> str:
    """What is running or waiting, as Markdown; pairs of workflow and run."""
    lines = [
        f"| {escaping.text(run.display_title or workflow)} | {'running' if run.status == _RUNNING else 'waiting'} "
        f"| {f'[run]({run.html_url})' if linkable(run.html_url) else ''} |"
        for workflow, run in found
        if run.status in (*_WAITING, _RUNNING)
    ]
    if not lines:
        return "Nothing is running or waiting."
    return "\n".join(["| what | state | |", "|---|---|---|", *lines])


def _seconds(run: WorkflowRun) -> float | None:
    try:
        start, end = (
            datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
            for text in (run.run_started_at, run.updated_at)
        )
        return max((end - start).total_seconds(), 0.0) or None
    except (ValueError, TypeError):
        return None
