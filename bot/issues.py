"""Issues about regressions: one for each group, from its first bad night to the clean ones at its end.

Promises that what is to be done is worked out from the verdict and from what GitHub has now (`planned`), so that the
same verdict twice changes nothing; that an issue is found by its author and its hidden memory, edited and reopened, and
never made twice; that there is a comment only when something happened; and that a person's closing stands until the
regression becomes worse. The life of an episode itself is `bot.episode`, its words are `bot.report.issue`.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import msgspec
from markupsafe import Markup

from bot import bisection, inputs, numbers, owners
from bot import episode as episodes
from bot.calls import Refused
from bot.comparison import CONTROL_SUITE
from bot.config import Config
from bot.episode import SEVERITIES, Episode, Rules, Turn
from bot.github import Client, Issue
from bot.report import issue as words
from bot.report.escaping import clean
from bot.report.issue import Frame
from bot.verdict import TestVerdict, Verdict
from harness.errors import UserError

LABEL = "performance-regression"
_COLOURS = {"low": "fbca04", "medium": "f9a03f", "high": "d93f0b", "critical": "b60205"}
_COLOUR = "5319e7"
MOST_ASSIGNEES = 10
"""GitHub's limit."""
_ROUNDS = 4
"""Times that GitHub is looked at again after something was made: for what another run made meanwhile."""

Done = Literal["opened", "updated", "closed", "reopened", "closed as a duplicate"]


def rules(config: Config) -> Rules:
    """The rules of a configuration."""
    return Rules(
        require_confirmation=config.policy.confirm.enabled,
        clean_nights=config.nightly.clean_nights,
        window=config.nightly.window,
    )


@dataclass(frozen=True)
class Settings:
    """What people chose."""

    rules: Rules = field(default_factory=Rules)
    label: str = LABEL
    owners: Sequence[owners.Rule] = ()


@dataclass(frozen=True)
class Kept:
    """An issue of ours with what it remembers, and its evidence as text."""

    issue: Issue
    episode: Episode
    evidence: str

    @property
    def is_open(self) -> bool:
        """Whether GitHub has it open."""
        return self.issue.state == "open"


@dataclass(frozen=True)
class Step:
    """One thing to do: open an issue (`number` None), or change one; first of all comment where `said` is not None.

    `fields` are those of GitHub's API. `said` is a comment's hidden first line and the whole of it.
    """

    done: Done
    fields: dict[str, Any]
    number: int | None = None
    fingerprint: str = ""
    said: tuple[str, str] | None = None
    labels: tuple[tuple[str, str], ...] = ()
    """Labels that must be there, with their colours."""
    url: str = ""


@dataclass(frozen=True)
class Posted:
    """What was done, and to which issue; `remark` is a whole sentence, or ""."""

    done: Done
    number: int
    url: str = ""
    remark: str = ""


def post(
    client: Client, verdict: Verdict, frame: Frame, settings: Settings | None = None, *, once: bool = False
) -> list[Posted]:
    """Let the issues say what the verdict says, and return what was done; nothing where all is as it should be.

    With `once` GitHub is not looked at again afterwards, for a dry run. Raises GithubError.
    """
    settings = settings or Settings()
    login = client.login()
    done: list[Posted] = []
    for _ in range(1 if once else _ROUNDS):
        steps = planned(verdict, ours(client.issues(creator=login), login), frame, settings)
        if not steps:
            break
        done += [_carried_out(client, login, step) for step in steps]
        if all(step.number is not None for step in steps):
            break
        # Another run may have opened the same at the same time.
        client.patience.settle()
    return done


def ours(issues: Iterable[Issue], login: str) -> list[Kept]:
    """The issues of this account that remember an episode, oldest first."""
    found = []
    for issue in issues:
        if issue.user is not None and issue.user.login == login and (read := words.parsed(_text(issue))):
            found.append(Kept(issue, *read))
    return sorted(found, key=lambda kept: kept.issue.number)


def _text(issue: Issue) -> str:
    return (issue.body or "").replace("\r\n", "\n")


def planned(verdict: Verdict, kept: Sequence[Kept], frame: Frame, settings: Settings) -> list[Step]:
    """What is to be done about the issues that are there, oldest first, and then about regressions without one."""
    steps = []
    whole: list[Kept] = []
    for one in kept:
        first = next((other for other in whole if other.episode.fingerprint == one.episode.fingerprint), None)
        if first is None:
            whole.append(one)
        else:
            steps.append(_duplicate(one, first))
    bad = episodes.regressions(verdict, settings.rules)
    homes, news = _homes(verdict, whole, bad)
    for one in whole:
        if not episodes.concerns(one.episode, verdict):
            continue
        joining = homes.get(one.issue.number, [])
        turn = episodes.turned(
            one.episode, verdict, settings.rules, is_open=one.is_open, joining=joining, url=frame.run_url
        )
        if turn is None:
            continue
        step = _step(one, episodes.searched(turn, frame.bisection), verdict, joining, frame, settings)
        steps += [] if step is None else [step]
    steps += [_opening(verdict, group, frame, settings) for group in episodes.groups(news)]
    return steps


def _homes(
    verdict: Verdict, kept: Sequence[Kept], bad: Sequence[TestVerdict]
) -> tuple[dict[int, list[TestVerdict]], list[TestVerdict]]:
    """Which regressions join which issue, by its number, and those that need one of their own.

    A regression that an issue has already is neither. A closed issue takes its tests back where they were judged by
    the same base; others that became slower in the same night and are related come with them.
    """
    entries = {id(entry): episodes.key_of(entry) for entry in bad}
    base = episodes.base_key(verdict)
    living = [one for one in kept if episodes.concerns(one.episode, verdict) and _takes(one, base)]
    # A test may have been in several over the years; what is open counts before what is closed, then the newest.
    living.sort(key=lambda one: (not one.is_open, one.episode.phase == "closed", -one.issue.number))
    joining: dict[int, list[TestVerdict]] = {}
    news = []
    for entry in bad:
        if any(entries[id(entry)] in one.episode.keys for one in living):
            continue
        for one in living:
            members = [other for other in bad if entries[id(other)] in one.episode.keys]
            back = one.episode.phase == "closed" and not one.is_open
            same_night = back and any(episodes.related(entry, other) for other in members)
            if same_night or episodes.may_hold(one.episode, verdict, entry, members or _measured(one, verdict)):
                joining.setdefault(one.issue.number, []).append(entry)
                break
        else:
            news.append(entry)
    return joining, news


def _takes(one: Kept, base: str | None) -> bool:
    return one.is_open or one.episode.base == base


def _measured(one: Kept, verdict: Verdict) -> list[TestVerdict]:
    return list(episodes.entries_of(one.episode, verdict).values())


def _opening(verdict: Verdict, group: Sequence[TestVerdict], frame: Frame, settings: Settings) -> Step:
    episode = episodes.begun(verdict, group, settings.rules, url=frame.run_url)
    title = words.title(episode)
    episode = msgspec.structs.replace(episode, title=title[: episodes.LONGEST_NAME])
    users, teams = _owners(verdict, _tests(group), settings)
    fields = {
        "title": title,
        "body": words.body(
            episode,
            words.evidence(episode, verdict, group, frame),
            frame,
            is_open=True,
            clean_nights=settings.rules.clean_nights,
            owners=_named(users, teams),
        ),
        "labels": [settings.label, _label(episode)],
    }
    if users:
        fields["assignees"] = users[:MOST_ASSIGNEES]
    return Step("opened", fields, fingerprint=episode.fingerprint, labels=_wanted_labels(episode, settings))


def _step(
    one: Kept, turn: Turn, verdict: Verdict, joining: Sequence[TestVerdict], frame: Frame, settings: Settings
) -> Step | None:
    episode, issue = turn.episode, one.issue
    measured = episodes.entries_of(episode, verdict)
    slower = [entry for entry in measured.values() if episodes.counts(entry, settings.rules)] if turn.bad else []
    changes: dict[str, Any] = {}
    tells = turn.tells
    title = words.title(episode)
    if tells and not turn.closed and issue.title.strip() == one.episode.title.strip():
        # A title that a person gave it stays; and one that follows every night's figures would be noise.
        changes["title"] = title
        episode = msgspec.structs.replace(episode, title=title[: episodes.LONGEST_NAME])
    users, teams = _owners(verdict, [member.test for member in episode.members], settings)
    shown = _slowest(slower)
    changes["body"] = words.body(
        episode,
        words.evidence(episode, verdict, shown, frame) if shown else one.evidence,
        frame,
        is_open=turn.is_open,
        clean_nights=settings.rules.clean_nights,
        owners=_named(users, teams),
    )
    labels = [label.name for label in issue.labels]
    wanted: tuple[tuple[str, str], ...] = ()
    if turn.reopened or _label(episode) != _label(one.episode):
        wanted = _wanted_labels(episode, settings)
        severities = {f"severity: {name}" for name in SEVERITIES}
        keep = [name for name in labels if name not in severities]
        changes["labels"] = list(dict.fromkeys([*keep, settings.label, _label(episode)]))
    if joining:
        now = [account.login for account in issue.assignees]
        new, _ = _owners(verdict, _tests(joining), settings)
        known = {login.lower() for login in now}
        changes["assignees"] = [*now, *(login for login in new if login.lower() not in known)][:MOST_ASSIGNEES]
    if turn.is_open != one.is_open:
        changes["state"] = "open" if turn.is_open else "closed"
        changes["state_reason"] = "reopened" if turn.is_open else "completed"
    there: dict[str, Any] = {
        "title": issue.title,
        "body": _text(issue),
        "labels": labels,
        "assignees": [account.login for account in issue.assignees],
        "state": issue.state,
    }
    fields = {key: value for key, value in changes.items() if not _same(key, value, there.get(key))}
    fields = fields if "state" in fields else {key: value for key, value in fields.items() if key != "state_reason"}
    if not fields:
        return None
    said = words.said(turn, episode.nights[-1].run, frame) if tells else None
    done: Done = "closed" if turn.closed else "reopened" if turn.reopened else "updated"
    return Step(done, fields, number=issue.number, said=said, labels=wanted, url=issue.html_url)


def _same(key: str, wanted: Any, found: Any) -> bool:
    if key == "labels":
        return set(wanted) == set(found)
    # GitHub takes white space from the ends.
    return bool(wanted.strip() == found.strip()) if isinstance(found, str) else bool(wanted == found)


def _tests(entries: Iterable[TestVerdict]) -> list[str]:
    return [entry.test for entry in entries]


def _slowest(entries: Iterable[TestVerdict]) -> list[TestVerdict]:
    return sorted(entries, key=lambda entry: (-(entry.change or 0.0), entry.test))


def _duplicate(one: Kept, first: Kept) -> Step:
    fields = {"state": "closed", "state_reason": "not_planned", "body": words.duplicate(first.issue.number)}
    return Step("closed as a duplicate", fields, number=one.issue.number, url=one.issue.html_url)


def _label(episode: Episode) -> str:
    return f"severity: {episode.severity}"


def _wanted_labels(episode: Episode, settings: Settings) -> tuple[tuple[str, str], ...]:
    return (settings.label, _COLOUR), (_label(episode), _COLOURS[episode.severity])


def _owners(verdict: Verdict, tests: Iterable[str], settings: Settings) -> tuple[list[str], list[str]]:
    """Users and teams, without @, that own any of these tests, in the order of the tests."""
    suites = [name for name in verdict.plan.suites if name != CONTROL_SUITE]
    # Which of several suites a test is of is not told by a verdict.
    suite = pathlib.PurePosixPath(suites[0]).name.removesuffix(".py") if len(suites) == 1 else ""
    found = [owner.removeprefix("@") for test in tests for owner in owners.of(settings.owners, test, suite)]
    every = list(dict.fromkeys(found))
    return [name for name in every if "/" not in name], [name for name in every if "/" in name]


def _named(users: Sequence[str], teams: Sequence[str]) -> str:
    """Owners for the body. A team is mentioned, for it cannot be assigned; users are, and need no mention.

    Their names match a tight pattern of the configuration, and come from nowhere else.
    """
    return Markup(", ").join([*(Markup(f"`{name}`") for name in users), *(Markup(f"@{name}") for name in teams)])


def _carried_out(client: Client, login: str, step: Step) -> Posted:
    for name, colour in step.labels:
        client.create_label(name, color=colour)
    if step.number is None:
        return _opened(client, login, step)
    number = step.number
    if step.said is not None:
        marker, text = step.said

        def there() -> bool | None:
            mine = (one for one in client.comments(number) if one.user is not None and one.user.login == login)
            return any(one.text.startswith(marker) for one in mine) or None

        if not there():
            client.once(lambda: bool(client.create_comment(number, text)), there)
    remark = _assigned(lambda fields: client.update_issue(number, **fields), step.fields)[1]
    return Posted(step.done, number, step.url, remark)


def _opened(client: Client, login: str, step: Step) -> Posted:
    def there() -> Issue | None:
        found = ours(client.issues(creator=login), login)
        return next((one.issue for one in found if one.episode.fingerprint == step.fingerprint), None)

    def create(fields: dict[str, Any]) -> Issue:
        return client.once(lambda: client.create_issue(**fields), there)

    issue, remark = _assigned(create, step.fields)
    return Posted(step.done, issue.number, issue.html_url, remark)


def _assigned(send: Callable[[dict[str, Any]], Issue], fields: dict[str, Any]) -> tuple[Issue, str]:
    """What `send` makes of the fields; without the assignees where GitHub takes them not, and then with a remark."""
    try:
        return send(fields), ""
    except Refused as error:
        if error.status != 422 or not fields.get("assignees"):
            raise
    rest = {key: value for key, value in fields.items() if key != "assignees"}
    return send(rest), f"GitHub does not let {', '.join(fields['assignees'])} be assigned; look at the owners"


def found_by(path: pathlib.Path) -> dict[str, str]:
    """What a search for the commit came to, in a line of plain text by test, from a file of `torchwarden bisect`.

    Raises UserError for anything else.
    """
    wanted = "name a file that `torchwarden bisect --json` wrote"
    content = inputs.read(path, 64 * 2**20, wanted=wanted, too_large=wanted)
    try:
        result = msgspec.json.decode(content, type=bisection.Result)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: {' '.join(str(error).split())[:200]}; {wanted}") from None
    return {finding.test: _came_to(finding) for finding in result.tests}


def _came_to(finding: bisection.TestFinding) -> str:
    if not finding.culprits:
        return f"{clean(finding.test)}: no culprit is sure{f'; {clean(finding.reason, 100)}' if finding.reason else ''}"
    return f"{clean(finding.test)}: {'; '.join(_culprit(blame) for blame in finding.culprits)}"


def _culprit(blame: bisection.Blame) -> str:
    last = blame.range[-1]
    many = f"one of {len(blame.range)} up to " if len(blame.range) > 1 else ""
    subject = f" ({clean(last.subject, 60)})" if last.subject else ""
    sure = "proven against its parent" if blame.proven else f"with probability {blame.probability:.2f}"
    return f"{many}{clean(last.commit or last.label, 50)}{subject}, {numbers.signed_percent(blame.change)}, {sure}"
