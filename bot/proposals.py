"""Changes of a reference, proposed as a pull request that people review.

Promises one open pull request for each reference file, on a branch of its own, which never is the default branch: what
is proposed later joins what is open. Its files are the default branch's with the proposed lines put in, so it always
merges; its text explains the difference test by test. The same proposal again changes nothing, and one that people have
closed is not made again.
"""

from __future__ import annotations

import datetime
import hashlib
import math
import re
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Literal

import msgspec

from bot import ledger as ledgers
from bot import numbers
from bot import reference as references
from bot.github import Client, PullRequest, checked
from bot.ledger import Item
from bot.reference import Entry, Header, Reference
from bot.report import markdown
from bot.report.escaping import code, text
from bot.verdict import Outcome, Verdict
from harness import buildspec
from harness.errors import UserError
from harness.testname import canonical, listed

PREFIX = "torchwarden/reference-"
_MARKER = "<!-- torchwarden:reference"
_LOST: tuple[Outcome, ...] = ("regressed", "failed", "missing", "inconclusive")


@dataclass(frozen=True)
class Change:
    """What goes into a reference and its ledger. `reference` is the path of the YAML in the repository."""

    reference: str
    items: Sequence[Item] = ()
    entries: Mapping[str, Entry] = field(default_factory=dict)
    header: Header | None = None
    moved_by: Verdict | None = None
    """The verdict that new entries come from; the ledger notes by how much they moved."""


@dataclass(frozen=True)
class Posted:
    """What was done, and the pull request: `nothing` when the default branch holds it all, `declined` when people have
    closed a pull request with the very same content.
    """

    done: Literal["created", "updated", "unchanged", "nothing", "declined"]
    number: int = 0
    url: str = ""


@dataclass(frozen=True)
class _Files:
    """A reference and its ledger as they are at a commit; None for a file that is not there."""

    reference: str | None
    ledger: str | None


def branch_of(reference: str) -> str:
    """The branch on which changes of a reference are proposed; two references never share one."""
    path = PurePosixPath(checked(reference, "path"))
    slug = re.sub(r"[^A-Za-z0-9]+", "-", "-".join(path.with_suffix("").parts[-2:])).strip("-").lower()[:60]
    return f"{PREFIX}{slug or 'file'}-{hashlib.sha256(reference.encode()).hexdigest()[:6]}"


def ledger_of(reference: str) -> str:
    """The path of the ledger beside a reference."""
    return ledgers.beside(Path(reference)).as_posix()


def at_default(client: Client, path: str) -> bytes | None:
    """A file as it is on the default branch; None when it is not there. Raises GithubError."""
    return client.file(path, client.default_branch())


def propose(client: Client, change: Change) -> Posted:
    """Let there be an open pull request that makes this change. Raises GithubError, and UserError for files that cannot
    be changed so.
    """
    default = client.default_branch()
    at = client.branch(default)
    if at is None:
        raise UserError(f"{client.repository} has no branch {default} yet; push a first commit")
    now = _files(client, change.reference, at)
    if now.reference is None:
        raise UserError(
            f"{change.reference} is not on {default}; make it with `torchwarden reference update` and merge it first"
        )
    branch = branch_of(change.reference)
    head = f"{client.repository.partition('/')[0]}:{branch}"

    def opened() -> PullRequest | None:
        found = (one for one in client.pull_requests(head=head) if one.head.ref == branch and one.base.ref == default)
        return next(found, None)

    pull = opened()
    tip = client.branch(branch)
    there = _files(client, change.reference, tip) if tip is not None else _Files(None, None)
    pending = Change(change.reference)
    if pull is not None and tip is not None:
        grown_from = client.merge_base(at, tip)
        before = now if grown_from == at else _files(client, change.reference, grown_from)
        pending = _pending(change.reference, before, there)
    wanted = _applied(now, pending, change)
    if wanted == now:
        return Posted("nothing")
    words = _explained(change.reference, now, wanted)
    if pull is None and (closed := _declined(client, head, words.marker)) is not None:
        return Posted("declined", closed.number, closed.html_url)
    moved = there != wanted
    if moved:
        names = {change.reference: wanted.reference, ledger_of(change.reference): wanted.ledger}
        old = {change.reference: now.reference, ledger_of(change.reference): now.ledger}
        files = {path: new.encode() for path, new in names.items() if new is not None and new != old[path]}
        client.set_branch(branch, client.commit_files(at, files, f"{words.title}\n"), force=True)
    if pull is None:
        made = client.once(
            lambda: client.create_pull_request(title=words.title, body=words.body, head=branch, base=default), opened
        )
        return Posted("created", made.number, made.html_url)
    if (pull.title, (pull.body or "").replace("\r\n", "\n").strip()) != (words.title, words.body.strip()):
        client.update_pull_request(pull.number, title=words.title, body=words.body)
        moved = True
    return Posted("updated" if moved else "unchanged", pull.number, pull.html_url)


def accepting(
    reference: str, verdict: Verdict, test: str, *, reason: str, by: str, until: datetime.date | None = None
) -> Change:
    """The change that accepts what a verdict shows of a test, or all its signals. Raises UserError."""
    return Change(reference, ledgers.accepting(verdict, test, reason=reason, by=by, until=until))


def better(reference: str, content: bytes, verdict: Verdict) -> Change:
    """The change that takes better figures from a verdict into its reference, whose file holds `content`.

    Only where the verdict's interval shows it. Against stored norms, those of the tests that improved are replaced. A
    reference with a pinned build is moved as a whole, norms and pin, for its norms are that build's; it takes a verdict
    in which something improved and nothing is worse or undecided. Raises UserError where there is nothing better, and
    for a verdict that was not judged by this very file.
    """
    digest = hashlib.sha256(content).hexdigest()
    if all(one.sha256 != digest for one in verdict.inputs if one.kind == "reference"):
        raise UserError(
            f"the verdict on {verdict.run} was not judged by {reference} as it is on the default branch; judge it again"
        )
    stored = _parsed(_decoded(content, reference), reference)
    pin = stored.header.pin if stored.header is not None else None
    improved = [one for one in verdict.of("improved") if one.high is not None and one.high < 0]
    if pin is None:
        improved = [one for one in improved if one.against == "reference"]
    if not improved:
        raise UserError(f"the verdict on {verdict.run} shows no test that is better than {reference}")
    taken, header = improved, None
    if pin is not None:
        header = _pinning(verdict, reference, pin)
        taken = [one for one in verdict.tests if one.outcome in ("improved", "unchanged", "accepted", "new")]
    entries = {
        one.test: Entry(
            norm=one.head_seconds,
            spread=_spread([launch.head_seconds for launch in one.launches]),
            launches=len(one.launches) or None,
        )
        for one in taken
        if one.head_seconds is not None and one.head_seconds > 0
    }
    return Change(reference, entries=entries, header=header, moved_by=verdict)


def holds(content: bytes, path: str, test: str) -> bool:
    """Whether a reference knows a test. Raises UserError for what is no reference."""
    return canonical(test) in {canonical(one) for one in _parsed(_decoded(content, path), path).tests}


def _pinning(verdict: Verdict, reference: str, pin: str) -> Header:
    """The header of a reference that pins the head of a verdict."""
    builds = {one.name: one for one in verdict.builds}
    head, base = builds.get(verdict.plan.head), builds.get(verdict.plan.base or "")
    if base is None or base.specification != pin:
        raise UserError(f"{reference} pins {pin}, and the verdict on {verdict.run} is not against it; measure both")
    if head is None or not buildspec.is_portable(head.specification):
        raise UserError(
            f"the head of {verdict.run} cannot be made again elsewhere, so it cannot be pinned; name a build"
        )
    if lost := [one.test for one in verdict.of(*_LOST)]:
        raise UserError(
            f"{reference} pins a build, so its norms move together, and {numbers.rate(len(lost), len(verdict.tests))} "
            f"worse or not known ({listed(lost)}); accept or mend that first"
        )
    return Header(
        machine=verdict.machine.name,
        fingerprint=verdict.machine.fingerprint,
        build=verdict.plan.head,
        pin=head.specification,
        torch=head.torch_version,
        date=verdict.started,
        run_id=verdict.run,
        size=verdict.plan.size,
        threads=verdict.plan.threads,
    )


def _spread(seconds: Sequence[float]) -> float | None:
    if len(seconds) < 2 or min(seconds) <= 0:
        return None
    return float(f"{statistics.stdev(math.log(one) for one in seconds):.4g}")


def _files(client: Client, reference: str, ref: str) -> _Files:
    def read(path: str) -> str | None:
        content = client.file(path, ref)
        return None if content is None else _decoded(content, path)

    return _Files(read(reference), read(ledger_of(reference)))


def _decoded(content: bytes, path: str) -> str:
    try:
        return content.decode("utf-8").removeprefix("\ufeff")
    except UnicodeDecodeError:
        raise UserError(f"{path} in the repository is not UTF-8 text; mend it") from None


def _parsed(content: str | None, path: str) -> Reference:
    return references.parse(content, path) if content is not None else Reference(path, {})


def _items(content: str | None, path: str) -> Sequence[Item]:
    return ledgers.parse(content, path).items if content is not None else ()


def _pending(reference: str, before: _Files, after: _Files) -> Change:
    """What an open pull request has put in since it grew from the default branch."""
    if after.reference is None:
        return Change(reference)
    path = ledger_of(reference)
    known = set(_items(before.ledger, path))
    old, new = _parsed(before.reference, reference), _parsed(after.reference, reference)
    return Change(
        reference,
        items=[one for one in _items(after.ledger, path) if one not in known],
        entries={one.test: one.new for one in references.diff(old, new) if one.new is not None},
        header=new.header if new.header != old.header else None,
    )


def _applied(now: _Files, pending: Change, change: Change) -> _Files:
    """The files with what is pending and what is new put into them."""
    name, path = change.reference, ledger_of(change.reference)
    header = change.header or pending.header
    entries = {**pending.entries, **change.entries}
    new = references.updated_text(now.reference, entries, header, name)
    items = [*pending.items, *change.items]
    if change.moved_by is not None:
        # What is moved is told once, from the norms of the default branch.
        items = [one for one in items if one.kind != "moved"]
        items = [*items, *ledgers.moves(_parsed(now.reference, name), _parsed(new, name), change.moved_by)]
    return _Files(new, ledgers.added(now.ledger, items, path) if items else now.ledger)


def _declined(client: Client, head: str, marker: str) -> PullRequest | None:
    """A pull request with the same content that people have closed without merging it."""
    closed = client.pull_requests(state="closed", head=head)
    return next((one for one in closed if one.merged_at is None and (one.body or "").startswith(marker)), None)


@dataclass(frozen=True)
class _Words:
    title: str
    marker: str
    body: str


def _explained(reference: str, old: _Files, new: _Files) -> _Words:
    """Title and text of a pull request, from what it changes and nothing else."""
    path = ledger_of(reference)
    known = set(_items(old.ledger, path))
    items = [one for one in _items(new.ledger, path) if one not in known]
    before, after = _parsed(old.reference, reference), _parsed(new.reference, reference)
    norms = references.diff(before, after)
    counts = [
        (sum(one.kind == "accepted" for one in items), "accepted"),
        (sum(one.kind == "ignored" for one in items), "ignored"),
        (len(norms), "new norms" if len(norms) != 1 else "new norm"),
    ]
    told = ", ".join(f"{number} {word}" for number, word in counts if number)
    name = PurePosixPath(reference).with_suffix("")
    title = f"Reference {'/'.join(name.parts[-2:])}: {told or 'header'}"
    digest = hashlib.sha256(msgspec.json.encode([new.reference, new.ledger])).hexdigest()[:16]
    marker = f"{_MARKER} {digest} -->"
    lines = [
        marker,
        "Torchwarden proposes to change what tests are judged by. Merging this is agreeing to it; closing it declines "
        "it, and the same is not proposed again. Commits on this branch are overwritten, but for what they change in "
        f"{code(reference)} and {code(path)}.",
        *_table(
            "Accepted or ignored",
            ("test", "what", "why", "by", "until", "shown by"),
            [
                (
                    code(one.test),
                    f"accepted, {numbers.signed_percent(one.change)}" if one.kind == "accepted" else "ignored",
                    text(one.reason),
                    code(one.by) if one.by else "",
                    one.until.isoformat() if one.until is not None else "",
                    code(one.run) + (f" of {code(one.commit[:10])}" if one.commit else ""),
                )
                for one in items
                if one.kind != "moved"
            ],
        ),
        *_table(
            "Norms",
            ("test", "before → after", "change"),
            [
                (
                    code(one.test),
                    numbers.transition(one.old.norm, one.new.norm)
                    if one.old is not None and one.new is not None
                    else f"{one.kind}: {numbers.seconds((one.new or one.old or Entry(0)).norm)}",
                    numbers.signed_percent(one.change) if one.change is not None else "",
                )
                for one in norms
            ],
        ),
        *_header_lines(before.header, after.header),
    ]
    return _Words(title[:250], marker, _cut("\n\n".join(lines), markdown.COMMENT_BYTES))


def _header_lines(old: Header | None, new: Header | None) -> list[str]:
    if old == new or new is None:
        return []
    changed = [
        f"- {name}: {code(str(getattr(old, name, None) or 'none'))} → {code(str(getattr(new, name) or 'none'))}"
        for name in new.__struct_fields__
        if getattr(old, name, None) != getattr(new, name)
    ]
    return ["**Where the norms come from**", "\n".join(changed)]


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    if not rows:
        return []
    every = [columns, ["---"] * len(columns), *rows]
    return [f"**{title}**", "\n".join(f"| {' | '.join(str(cell) for cell in row)} |" for row in every)]


def _cut(body: str, limit: int) -> str:
    """The text in at most `limit` bytes: whole lines, and a word on what was left out."""
    if len(body.encode()) <= limit:
        return body + "\n"
    rest = "\n\nMore lines do not fit here; see the files.\n"
    kept = body.encode()[: limit - len(rest.encode())].decode(errors="ignore")
    return kept.rpartition("\n")[0] + rest
