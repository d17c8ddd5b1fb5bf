"""The check on a commit: what the verdict means for merging, under a policy that says whether it may block.

Promises a check run, or a commit status where the token may not make check runs; that an undecided verdict is never a
pass where the policy is `gate`; that a crash of ours is neutral and says that it says nothing about the change; and
that running twice makes no second check.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Literal

import msgspec

from bot.calls import Refused
from bot.github import CheckConclusion, CheckRun, Client, CommitStatus, StatusState
from bot.report import escaping, markdown, wording
from bot.report.escaping import clean
from bot.report.markdown import Frame
from bot.verdict import Outcome, TestVerdict, Verdict

Policy = Literal["gate", "advise"]
POLICIES: tuple[Policy, ...] = ("gate", "advise")

CONCLUSIONS: dict[Policy, dict[Outcome, CheckConclusion]] = {
    "gate": {
        "regressed": "failure",
        "inconclusive": "action_required",
        "improved": "success",
        "unchanged": "success",
        "accepted": "success",
    },
    "advise": {
        "regressed": "neutral",
        "inconclusive": "neutral",
        "improved": "success",
        "unchanged": "success",
        "accepted": "success",
    },
}
"""What a verdict concludes. `action_required` blocks a merge as `failure` does, but says that nobody knows yet."""

_STATES: dict[CheckConclusion, StatusState] = {
    "success": "success",
    "failure": "failure",
    "action_required": "error",
    "neutral": "success",
}
"""A status has no neutral; "success" is the one that blocks nothing, and its description says more."""

SUMMARY_BYTES = 65_535
"""GitHub's limit of a check run's summary, in characters."""
MOST_ANNOTATIONS = 50
"""GitHub's limit for one request."""
_LONGEST_DESCRIPTION = 140
_PLACE = ".github"
"""A measurement belongs to no line of a file, but annotations must name one; these are shown beside the summary."""


@dataclass(frozen=True)
class Check:
    """What a check says."""

    conclusion: CheckConclusion
    title: str
    summary: str
    annotations: tuple[dict[str, Any], ...] = ()


@dataclass(frozen=True)
class Posted:
    """What was done, and where it is seen."""

    done: Literal["created", "unchanged"]
    kind: Literal["check run", "commit status"]
    conclusion: CheckConclusion
    url: str = ""


def check(verdict: Verdict, frame: Frame, policy: Policy) -> Check:
    """The check of a verdict."""
    line = wording.headline(verdict)
    title = line.title
    if line.worst is not None:
        title += f" · {line.worst_as}: {clean(line.worst.test, 80)} {wording.change(line.worst)}"
    level = "failure" if policy == "gate" else "warning"
    noted = [_annotation(entry, level) for entry in wording.slowest_first(verdict.of("regressed"))]
    noted += [_annotation(entry, "notice") for entry in wording.worst_first(verdict.of("failed", "missing"))]
    return Check(
        conclusion=CONCLUSIONS[policy].get(verdict.outcome, "action_required" if policy == "gate" else "neutral"),
        title=clean(title, 250),
        summary=markdown.body(verdict, frame, limit=SUMMARY_BYTES),
        annotations=tuple(noted[:MOST_ANNOTATIONS]),
    )


def crash(why: str) -> Check:
    """The check of a run that came to no verdict; `why` is a sentence of ours."""
    words = (
        "Torchwarden did not get as far as a verdict. "
        "This says nothing about the change: neither that it is slower nor that it is not."
    )
    title = "No verdict: this says nothing about the change"
    return Check("neutral", title, f"{words}\n\n{escaping.text(why, 1000)}\n")


def _annotation(entry: TestVerdict, level: str) -> dict[str, Any]:
    said = clean(entry.reason, 300) if entry.reason else wording.noise(entry)
    moved = f"{wording.change(entry)} ({wording.times(entry)}), " if entry.change is not None else ""
    return {
        "path": _PLACE,
        "start_line": 1,
        "end_line": 1,
        "annotation_level": level,
        "title": clean(f"{entry.test} {wording.WORDS[entry.outcome].word}", 200),
        "message": moved + said,
    }


def post(client: Client, sha: str, wanted: Check, frame: Frame) -> Posted:
    """Let the commit bear this check, unless it bears it already. Raises GithubError.

    A new check run of the same name takes the place of the old one, which GitHub keeps: an update would add to its
    annotations instead of replacing them.
    """
    name = f"torchwarden / {frame.configuration}"
    fields: dict[str, Any] = {
        "name": name,
        "status": "completed",
        "conclusion": wanted.conclusion,
        "output": {"title": wanted.title, "summary": wanted.summary, "annotations": list(wanted.annotations)},
    }
    if frame.run_url:
        fields["details_url"] = frame.run_url
    mark = f"torchwarden {frame.configuration}"
    identity = f"{mark} {hashlib.sha256(msgspec.json.encode(fields, order='sorted')).hexdigest()[:16]}"

    def there() -> CheckRun | None:
        runs = [run for run in client.check_runs(sha, name) if (run.external_id or "").startswith(mark)]
        newest = max(runs, key=lambda run: run.id, default=None)
        return newest if newest is not None and newest.external_id == identity else None

    try:
        if (found := there()) is not None:
            return Posted("unchanged", "check run", wanted.conclusion, found.html_url or "")
        made = client.once(lambda: client.create_check_run(sha, {**fields, "external_id": identity}), there)
        return Posted("created", "check run", wanted.conclusion, made.html_url or "")
    except Refused as error:
        # Without `checks: write`, and for every token that is not an App's.
        if error.status not in (403, 404):
            raise
    return _status(client, sha, wanted, frame, name)


def _status(client: Client, sha: str, wanted: Check, frame: Frame, context: str) -> Posted:
    state = _STATES[wanted.conclusion]
    description = clean(wanted.title, _LONGEST_DESCRIPTION)

    def there() -> CommitStatus | None:
        newest = next((status for status in client.statuses(sha) if status.context == context), None)
        if newest is None or (newest.state, newest.description, newest.target_url or "") != (
            state,
            description,
            frame.run_url,
        ):
            return None
        return newest

    if (found := there()) is not None:
        return Posted("unchanged", "commit status", wanted.conclusion, found.target_url or "")
    client.once(
        lambda: client.create_status(
            sha, context=context, state=state, description=description, target_url=frame.run_url
        ),
        there,
    )
    return Posted("created", "commit status", wanted.conclusion, frame.run_url)
