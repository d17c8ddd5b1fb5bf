"""The comment on a pull request and the summary of a job, in GitHub's Markdown.

Promises a first line that is the verdict, and no more than that line where nothing changed; tables with the worst
first, at most ten rows of them unfolded, everything else folded; nothing from the verdict that GitHub would act on
(`bot.report.escaping`); and a text that GitHub takes: when it would be too long, a stricter one of `_BOUNDS` is tried,
and what was cut is said.
"""

from __future__ import annotations

import functools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

import jinja2
from markupsafe import Markup

from bot.report import escaping, templating, wording
from bot.verdict import TestVerdict, Verdict

COMMENT_BYTES = 65_536
"""GitHub's limit counts characters; counting bytes of UTF-8 stays below it however a character is counted."""
SUMMARY_BYTES = 1_048_576
"""GitHub's limit for a step's summary (docs.github.com, "Workflow commands": 1 MiB)."""
TOP_ROWS = 10
MARKER = "<!-- torchwarden:report"

_T = TypeVar("_T")


@dataclass(frozen=True)
class Bounds:
    """How much of a verdict is shown: rows of the table of all tests, rows of other lists, characters of a text."""

    all_rows: int
    rows: int
    name: int
    reason: int
    stderr: int
    folds: bool = True


_BOUNDS = (
    Bounds(all_rows=10_000, rows=500, name=120, reason=500, stderr=2000),
    Bounds(all_rows=10_000, rows=200, name=120, reason=300, stderr=500),
    Bounds(all_rows=400, rows=100, name=120, reason=200, stderr=200),
    Bounds(all_rows=150, rows=50, name=100, reason=150, stderr=0),
    Bounds(all_rows=40, rows=20, name=80, reason=100, stderr=0),
    Bounds(all_rows=0, rows=5, name=60, reason=60, stderr=0),
    Bounds(all_rows=0, rows=0, name=40, reason=40, stderr=0, folds=False),
)
"""From generous to what always fits: ten rows of names of 40 characters, each at most six bytes, and our own words."""


@dataclass
class Cuts:
    """Counts what was left out while a text is written."""

    left_out: Counter[str] = field(default_factory=Counter)

    def first(self, items: Sequence[_T], limit: int, noun: str) -> Sequence[_T]:
        """The first `limit` items; the others are counted under `noun`."""
        if len(items) > limit:
            self.left_out[noun] += len(items) - limit
        return items[:limit]

    def words(self) -> str:
        """What was left out: `350 rows of the table of all tests, 12 warnings`."""
        return ", ".join(f"{number:,} {noun}" for noun, number in self.left_out.items())


@dataclass(frozen=True)
class Frame:
    """What a report says beside the verdict. It comes from our own run and from GitHub, never from the verdict.

    Addresses are empty or have passed `bot.event.checked_link`; commits are empty or full names.
    """

    configuration: str = "default"
    """Names the comment: another run of the same configuration edits it."""
    head_sha: str = ""
    moved_to: str = ""
    """Where the pull request is, when that is no longer `head_sha`."""
    run_url: str = ""
    artifact_url: str = ""
    page_url: str = ""
    history: Mapping[str, Sequence[float]] = field(default_factory=dict)
    """Seconds of earlier runs by test, oldest first, for sparklines."""

    def links(self) -> Markup:
        """`[run](…) · [files](…) · [page](…)`, as far as there are any."""
        named = {"run": self.run_url, "files": self.artifact_url, "page": self.page_url}
        return Markup(" · ").join(Markup(f"[{name}]({url})") for name, url in named.items() if url)


def comment(verdict: Verdict, frame: Frame | None = None) -> str:
    """The verdict as the body of a pull request comment, at most 65,536 bytes, with our hidden marker on top."""
    frame = frame or Frame()
    above = marker(frame.configuration) + "\n"
    return above + body(verdict, frame, limit=COMMENT_BYTES - len(above.encode()))


def summary(verdict: Verdict, frame: Frame | None = None) -> str:
    """The verdict for GITHUB_STEP_SUMMARY: the comment without its marker, all tests unfolded; at most 1 MiB."""
    return body(verdict, frame or Frame(), limit=SUMMARY_BYTES, unfolded=True)


def marker(configuration: str) -> str:
    """The hidden comment by which a later run finds this comment; nothing from the verdict stands in it."""
    return f"{MARKER} {configuration} -->"


def body(verdict: Verdict, frame: Frame, *, limit: int, unfolded: bool = False) -> str:
    """The verdict in Markdown without a marker, at most `limit` bytes, of which some thousands are needed."""
    for bounds in _BOUNDS:
        text = _write(verdict, bounds, limit=limit, frame=frame, unfolded=unfolded)
        if len(text.encode()) <= limit:
            return text
    raise AssertionError("the last bounds always fit")


def _write(verdict: Verdict, bounds: Bounds, *, limit: int, frame: Frame, unfolded: bool) -> str:
    cuts = Cuts()
    text = (
        environment()
        .get_template("comment.md.j2")
        .render(
            verdict=verdict,
            frame=frame,
            links=frame.links(),
            drawn=_drawn(verdict, frame),
            # What a caller keeps free for words of its own counts to the limit too.
            limit=max(limit, COMMENT_BYTES),
            bounds=bounds,
            cuts=cuts,
            unfolded=unfolded,
            asked=wording.question(verdict),
            line=wording.headline(verdict),
            counts=wording.tally(verdict),
            tally=wording.tally_words(verdict),
            score=wording.score_words(verdict),
            top=_top(verdict),
            health=wording.health_words(verdict),
            cautions=wording.cautions(verdict),
            differing=wording.differing_packages(verdict.builds)[:8],
            name=functools.partial(escaping.code, limit=bounds.name),
            reason=functools.partial(escaping.code, limit=bounds.reason),
            title=functools.partial(title, limit=bounds.name),
            label=functools.partial(_label, repeated=wording.repeated(verdict), limit=bounds.name),
            sides=functools.partial(sides, verdict, bounds.name),
            reference=functools.partial(_reference, verdict, bounds.name),
            block=escaping.block,
        )
    )
    return text.strip() + "\n"


@functools.cache
def environment() -> jinja2.Environment:
    """Jinja for Markdown: whatever a template shows is made inert by `finalize`, unless it is Markup already.

    Autoescape stands for its one side effect, that macros return Markup. Jinja's own escaping never meets a plain text;
    templates must not use `join` or `~`, which would bless one after escaping it for HTML only.
    """
    environment = templating.environment(escaping.inert)
    environment.globals.update(TOP_ROWS=TOP_ROWS)
    return environment


def _top(verdict: Verdict) -> list[TestVerdict]:
    """What the visible table shows: the slower tests, or in a run without any the faster ones."""
    return wording.slowest_first(verdict.of("regressed")) or wording.fastest_first(verdict.of("improved"))


def _drawn(verdict: Verdict, frame: Frame) -> dict[str, str]:
    """Sparklines of the tests in the visible table, by test; empty where nothing is known of earlier runs."""
    lines = {
        entry.test: wording.sparkline([*frame.history.get(entry.test, ()), entry.head_seconds or math.nan])
        for entry in _top(verdict)[:TOP_ROWS]
        if frame.history.get(entry.test)
    }
    return {test: line for test, line in lines.items() if line}


def title(test: str, limit: int) -> Markup:
    """The short form of a test's name: train `BERT_pytorch` · cuda · eager."""
    before, model, behind = wording.short_name(test)
    shown = escaping.code(model, limit)
    if before:
        shown = Markup(f"{escaping.text(before, limit)} {shown}")
    return Markup(f"{shown} · {escaping.text(behind, limit)}") if behind else shown


def _label(entry: TestVerdict, repeated: frozenset[str], limit: int) -> Markup:
    """The full name of the entry's test, and its lane where the test has several entries."""
    shown = escaping.code(entry.test, limit)
    return Markup(f"{shown} in {escaping.code(entry.lane, limit)}") if entry.test in repeated else shown


def sides(verdict: Verdict, limit: int) -> Markup:
    """Which builds were compared: head `torch 2.14.1 (3f2a91c)` against base `torch 2.13.0`."""
    plan = verdict.plan
    head = wording.build(verdict, plan.head)
    base = wording.build(verdict, plan.base)
    shown = Markup(f"head {escaping.code(wording.torch_of(head) if head else plan.head, limit)}")
    asked = wording.question(verdict)
    if asked == "a/a":
        return Markup(f"{shown} against itself")
    if plan.base is not None:
        return Markup(f"{shown} against base {escaping.code(wording.torch_of(base) if base else plan.base, limit)}")
    if asked == "reference":
        return Markup(f"{shown} against {_reference(verdict, limit)}")
    return Markup(f"{shown} against an earlier run") if asked == "runs" else shown


def _reference(verdict: Verdict, limit: int) -> Markup:
    names: Iterable[str] = (source.name for source in verdict.inputs if source.kind == "reference")
    name = next(iter(names), None)
    return Markup("the stored reference") if name is None else Markup(f"reference {escaping.code(name, limit)}")
