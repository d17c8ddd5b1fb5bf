"""What a verdict says, in words: one place, so that the terminal, the comment and the page cannot disagree.

Promises honest sentences: a rate has its denominator, an A/A run says so, an undecided run never sounds like a pass,
and what is missing or failed is said. Sentences hold our own words and figures only; a name from the verdict is
returned apart from them, because each report makes it inert in its own way. For the modules of `bot.report`.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from bot import numbers
from bot.verdict import Outcome, Speedup, TestVerdict, Verdict
from harness.records import Build, Health
from harness.testname import is_test_name, parse_test_name

Question = Literal["builds", "a/a", "reference", "runs", "nothing"]
"""What a run's head was compared with: another build, the same build again, stored norms, another run, or nothing."""


@dataclass(frozen=True)
class Word:
    """How an outcome is shown. Mark and word always stand together: colour alone says nothing to some readers."""

    mark: str
    word: str
    """Ends the sentence "this test is ..."."""
    glyph: str
    """A mark one column wide, for terminals."""
    style: str
    """Style of rich."""


WORDS: dict[Outcome, Word] = {
    "regressed": Word("🔴", "slower", "▲", "bold red"),
    "failed": Word("❌", "failed", "✗", "bold red"),
    "missing": Word("⚫", "missing", "∅", "bold"),
    "inconclusive": Word("🟠", "undecided", "◆", "yellow"),
    "improved": Word("🔵", "faster", "▼", "bold blue"),
    "accepted": Word("🟣", "accepted", "▽", "magenta"),
    "new": Word("⚪", "new", "+", "dim"),
    "unchanged": Word("🟢", "unchanged", "●", "green"),
}
"""In the order in which a reader should see them."""

RANK: dict[Outcome, int] = {outcome: rank for rank, outcome in enumerate(WORDS)}

UNSETTLED: tuple[Outcome, ...] = ("inconclusive", "failed", "missing")
"""Outcomes of which nothing is known; none of them is ever a pass."""


@dataclass(frozen=True)
class Headline:
    """The verdict in one line. `worst` is the entry to name beside `title`, `worst_as` what to call it."""

    mark: str
    title: str
    notes: tuple[str, ...]
    """Whole sentences that belong into the same breath."""
    worst: TestVerdict | None = None
    worst_as: str = ""
    quiet: bool = False
    """Nothing has to be looked at: the line alone is enough."""

    @property
    def remarks(self) -> str:
        """The notes as one text."""
        return " ".join(self.notes)


def question(verdict: Verdict) -> Question:
    """What this run's head was compared with."""
    plan = verdict.plan
    if plan.base is not None:
        base, head = build(verdict, plan.base), build(verdict, plan.head)
        same = plan.base == plan.head or (
            base is not None and head is not None and base.fingerprint != "" and base.fingerprint == head.fingerprint
        )
        return "a/a" if same else "builds"
    if any(entry.against == "reference" for entry in verdict.tests):
        return "reference"
    runs = sum(source.kind == "run" for source in verdict.inputs)
    compared = any(entry.change is not None for entry in verdict.tests)
    return "runs" if compared and runs > 1 else "builds" if compared else "nothing"


def build(verdict: Verdict, name: str | None) -> Build | None:
    """The build of that name, if the verdict lists it."""
    return next((build for build in verdict.builds if build.name == name), None)


def headline(verdict: Verdict) -> Headline:
    """The one line that somebody with ten seconds reads."""
    asked = question(verdict)
    counts = tally(verdict)
    total = len(verdict.tests)
    unsettled = sum(counts[outcome] for outcome in UNSETTLED)
    slower, faster = counts["regressed"], counts["improved"]
    notes = [*circumstances(verdict)]
    if verdict.outcome == "regressed":
        if asked == "a/a" and not verdict.plan.inject:
            notes.append("What it found is a false alarm, or the machine was disturbed.")
        notes += confirmation_words(verdict)
        if unsettled:
            notes.append(f"Besides, {settled_words(counts)}.")
        if slower:
            title = f"{numbers.rate(slower, total)} slower"
            return Headline("🔴", title, (*notes, could_see(verdict)), worst_of(verdict), "worst")
        title = "The score fell, though no single test is slower beyond its threshold"
        return Headline("🔴", title, (*notes, could_see(verdict)))
    if total == 0:
        return Headline("🟠", "Nothing was measured", (*notes, "This is not a pass."))
    notes += confirmation_words(verdict)
    if unsettled or (verdict.outcome == "inconclusive" and asked != "nothing"):
        what = settled_words(counts, total) if unsettled else "the score could not be decided"
        rest = total - unsettled
        if rest > 0 and asked != "nothing":
            notes.append(f"No slowdown was found in the other {numbers.count(rest, 'test')}.")
        return Headline("🟠", f"Inconclusive, not a pass: {what}", (*notes, could_see(verdict)))
    if asked == "nothing":
        title = f"{numbers.count(total, 'test')} {'was' if total == 1 else 'were'} measured; nothing to compare with"
        return Headline("⚪", title, tuple(notes))
    if faster:
        title = f"{numbers.rate(faster, total)} faster, none is slower"
        return Headline("🔵", title, (*notes, could_see(verdict)), best_of(verdict), "best")
    if counts["new"] == total:
        title = f"{numbers.count(total, 'test')} {'is' if total == 1 else 'are'} new; nothing to compare with"
        return Headline("⚪", title, tuple(notes))
    if verdict.outcome == "improved":
        title = "The score rose, though no single test is faster beyond its threshold"
        return Headline("🔵", title, (*notes, could_see(verdict)))
    if counts["new"]:
        new = counts["new"]
        notes.append(f"{numbers.count(new, 'test')} {'is' if new == 1 else 'are'} new, with nothing to compare with.")
    return Headline("🟢", "No test is slower", (*notes, could_see(verdict)), quiet=True)


def circumstances(verdict: Verdict) -> Iterable[str]:
    """What has to be known of how a run was made: that it was slowed on purpose, or compared a build with itself."""
    asked = question(verdict)
    injected = verdict.plan.inject
    if injected:
        amounts = sorted(set(injected.values()))
        shares = " to ".join(numbers.setting(amount) for amount in dict.fromkeys((amounts[0], amounts[-1])))
        exact = injected.keys() <= {entry.test for entry in verdict.tests}
        where = numbers.count(len(injected), "test") if exact else "the tests that were asked for"
        yield f"The head was slowed on purpose by {shares} in {where}."
    if asked == "a/a":
        if injected:
            yield "Otherwise base and head are the same build."
        else:
            yield "This was an A/A run (base and head are the same build), so it should find nothing."


def confirmation_words(verdict: Verdict) -> Iterable[str]:
    """What a second run made of the first one's signals, or that there was none though there are signals."""
    second = verdict.second_run
    if second is None:
        measured_here = question(verdict) != "runs"
        if measured_here and any(entry.signal and entry.low is not None for entry in verdict.tests):
            yield "No second run has confirmed this yet."
        return
    where = "" if second.machine.fingerprint == verdict.machine.fingerprint else " on another machine"
    if second.confirmed:
        yield (
            f"Confirmed by a second run{where}: an unchanged test would pass both by chance at most once in "
            f"{round(1 / second.chance):,}."
        )
    if second.unconfirmed:
        yield f"A second run{where} did not bear out {numbers.count(second.unconfirmed, 'signal')} of the first."


def settled_words(counts: Counter[Outcome], total: int = 0) -> str:
    """`3 of 16 tests could not be decided, 1 failed and 1 is missing`; without a total, `3 could not be decided`."""
    verbs: dict[Outcome, tuple[str, str]] = {
        "inconclusive": ("could not be decided", "could not be decided"),
        "failed": ("failed", "failed"),
        "missing": ("is missing", "are missing"),
    }
    parts: list[str] = []
    for outcome in UNSETTLED:
        number = counts[outcome]
        if number:
            of = f" of {numbers.count(total, 'test')}" if total and not parts else ""
            parts.append(f"{number:,}{of} {verbs[outcome][0 if number == 1 else 1]}")
    return " and ".join((", ".join(parts[:-1]), parts[-1])) if len(parts) > 1 else "".join(parts)


def could_see(verdict: Verdict) -> str:
    """What the run could have found: the smallest visible change of half of its tests, and of all."""
    half, worst = (numbers.percent(value) for value in (verdict.detectable, verdict.detectable_worst))
    if verdict.detectable is None:
        return "How small a change this run could have seen is unknown."
    known = sum(entry.detectable is not None for entry in verdict.tests)
    rest = "" if known >= len(verdict.tests) else " that were measured"
    if verdict.detectable_worst is None:
        return f"This run could see changes of {half} or more in half of its tests."
    if half == worst:
        return f"This run could see changes of {half} or more in all of its tests{rest}."
    return f"This run could see changes of {half} or more in half of its tests, {worst} or more in all{rest}."


def score_words(verdict: Verdict) -> str:
    """`score 987.4 ± 1.9`, or "" when the verdict has none."""
    score = verdict.score
    return "" if score is None else f"score {numbers.measured(score.value, score.low, score.high)}"


def tally(verdict: Verdict) -> Counter[Outcome]:
    """How many entries have each outcome."""
    return Counter(entry.outcome for entry in verdict.tests)


def tally_words(verdict: Verdict) -> str:
    """`2 slower, 1 faster, 13 unchanged`, in the order of `WORDS`."""
    asked = question(verdict)
    counts = Counter(outcome_word(entry.outcome, asked) for entry in worst_first(verdict.tests))
    return ", ".join(f"{number:,} {word}" for word, number in counts.items())


def outcome_word(outcome: Outcome, asked: Question) -> str:
    """The word for an outcome. Where there was nothing to compare with, no test is new: it was measured."""
    return "measured" if asked == "nothing" and outcome in ("new", "unchanged") else WORDS[outcome].word


def worst_first(entries: Iterable[TestVerdict]) -> list[TestVerdict]:
    """Entries by what a reader should see first; within an outcome the largest slowdown first."""
    return sorted(entries, key=lambda entry: (RANK[entry.outcome], -_figure(entry.change), entry.test, entry.lane))


def slowest_first(entries: Iterable[TestVerdict]) -> list[TestVerdict]:
    """Entries by their change alone, the largest slowdown first, those without a figure last."""
    return sorted(entries, key=lambda entry: (-_figure(entry.change), entry.test, entry.lane))


def fastest_first(entries: Iterable[TestVerdict]) -> list[TestVerdict]:
    """Entries by their change alone, the largest gain first, those without a figure last."""
    return sorted(entries, key=lambda entry: (_figure(entry.change, absent=math.inf), entry.test, entry.lane))


def _figure(value: float | None, absent: float = -math.inf) -> float:
    return absent if value is None or math.isnan(value) else value


def worst_of(verdict: Verdict) -> TestVerdict | None:
    """The slower entry with the largest change."""
    return next(iter(slowest_first(verdict.of("regressed"))), None)


def best_of(verdict: Verdict) -> TestVerdict | None:
    """The faster entry with the largest change."""
    return next(iter(fastest_first(verdict.of("improved"))), None)


def change(entry: TestVerdict | None) -> str:
    """The entry's change and interval, `+8.2 % ± 0.9`; a dash where none was measured."""
    return "–" if entry is None or entry.change is None else numbers.change(entry.change, entry.low, entry.high)


def times(entry: TestVerdict) -> str:
    """The entry's `base → head` in human units; a dash where nothing was measured."""
    if entry.base_seconds is None and entry.head_seconds is None:
        return "–"
    return numbers.transition(entry.base_seconds, entry.head_seconds)


def noise(entry: TestVerdict) -> str:
    """How well the test repeats, against its own threshold: `stable, sees 1.7 %`.

    `stable` sees a change of half the threshold, `fair` one of the threshold, `noisy` only larger ones.
    """
    seen = entry.detectable
    if seen is None or not math.isfinite(seen):
        return "unknown"
    word = "stable" if seen <= entry.threshold / 2 else "fair" if seen <= entry.threshold else "noisy"
    return f"{word}, sees {numbers.percent(seen)}"


_BARS = "▁▂▃▄▅▆▇█"
_MOST_BARS = 20


def sparkline(values: Sequence[float]) -> str:
    """The last twenty values as bars, from their least to their greatest; "" when fewer than two are known."""
    known = [value for value in values if math.isfinite(value)][-_MOST_BARS:]
    if len(known) < 2:
        return ""
    low, high = min(known), max(known)
    # Halved first: the span of two large floats may be more than a float holds.
    span = high / 2 - low / 2
    if not span:
        return _BARS[len(_BARS) // 2] * len(known)
    return "".join(_BARS[round((value / 2 - low / 2) / span * (len(_BARS) - 1))] for value in known)


def short_name(name: str) -> tuple[str, str, str]:
    """What stands before, in and behind the model's name: `("train", "BERT_pytorch", "cuda · eager")`."""
    if not is_test_name(name):
        return "", name, ""
    parts = parse_test_name(name)
    return parts.type, parts.model, f"{parts.device} · {parts.mode}"


def repeated(verdict: Verdict) -> frozenset[str]:
    """Tests that have several entries, which must therefore be shown with their lanes."""
    names = Counter(entry.test for entry in verdict.tests)
    return frozenset(name for name, number in names.items() if number > 1)


def comparison(verdict: Verdict) -> str:
    """What was compared with what, without names: for captions."""
    return {
        "builds": "head against base, measured side by side",
        "a/a": "the same build against itself, measured side by side",
        "reference": "head against the stored reference",
        "runs": "one run against an earlier run",
        "nothing": "one build, compared with nothing",
    }[question(verdict)]


def policy_words(verdict: Verdict) -> str:
    """The rule by which outcomes were reached."""
    policy = verdict.policy
    score = f"{numbers.setting(policy.score_threshold)} on the score"
    if policy.tests:
        score += "; some tests have a threshold of their own"
    if policy.name == "v1":
        return f"TorchBench's rule V1: a plain change beyond {numbers.setting(policy.threshold)} per test or {score}."
    return (
        f"A test is slower or faster beyond {numbers.setting(policy.threshold)} when its "
        f"{numbers.setting(policy.confidence)} interval excludes no change, at a false-discovery rate of "
        f"{numbers.setting(policy.false_discovery_rate)} over all tests; {score}."
    )


@dataclass(frozen=True)
class Figure:
    """One figure of a lane beside latency, in words; `base` and `change` are "" where there is none."""

    name: str
    base: str
    head: str
    change: str


def _three_digits(value: float) -> str:
    return numbers.significant(value, 3)


def _items(value: float) -> str:
    return f"{_three_digits(value)} items/s"


def _counted(value: float) -> str:
    return f"{value:,.0f}"


def _operations(value: float) -> str:
    for prefix, scale in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if value >= scale:
            return f"{_three_digits(value / scale)} {prefix}FLOP"
    return f"{_three_digits(value)} FLOP"


_FIGURES: dict[str, tuple[str, Callable[[float], str]]] = {
    "throughput": ("throughput", _items),
    "peak_memory_bytes": ("peak memory", numbers.size),
    "minor_faults": ("page faults per step", _three_digits),
    "compile_seconds": ("compile time", numbers.seconds),
    "parameters": ("parameters", _counted),
    "flops": ("operations per step", _operations),
}
_MOST_FIGURES = 12


def figures(entry: TestVerdict) -> list[Figure]:
    """The entry's other figures, known ones first; at most twelve, since their names come from the verdict."""
    names = [*(name for name in _FIGURES if name in entry.head_figures or name in entry.base_figures)]
    names += sorted((entry.head_figures.keys() | entry.base_figures.keys()) - set(names))
    shown = []
    for name in names[:_MOST_FIGURES]:
        title, form = _FIGURES.get(name, (name.replace("_", " "), _three_digits))
        base, head = entry.base_figures.get(name), entry.head_figures.get(name)
        moved = numbers.signed_percent(head / base - 1) if base and head is not None else ""
        shown.append(
            Figure(title, "" if base is None else form(base), "" if head is None else form(head), moved),
        )
    return shown


def phases(entry: TestVerdict) -> list[tuple[str, str]]:
    """Phase and its change, in the order of the step."""
    order = {"forward": 0, "backward": 1, "update": 2}
    items = sorted(entry.phases.items(), key=lambda item: (order.get(item[0], 3), item[0]))
    return [(name, numbers.signed_percent(value)) for name, value in items[:_MOST_FIGURES]]


_STOPPED = {
    "precise": "the interval was narrow enough",
    "decided": "the question was decided",
    "budget": "the time budget ended",
}


def effort(entry: TestVerdict) -> str:
    """`24 launches in 31 s, until the question was decided`; "" when nothing is known of it."""
    parts = []
    if entry.launches:
        parts.append(numbers.count(len(entry.launches), "launch", "launches"))
    if entry.elapsed_seconds > 0:
        parts.append(f"in {numbers.duration(entry.elapsed_seconds)}")
    until = _STOPPED.get(entry.stopped, "")
    return " ".join(parts) + (f", until {until}" if parts and until else "")


def sureness(entry: TestVerdict) -> str:
    """The evidence for an entry: its q-value, or its p-value, or ""."""
    for name, value in (("q", entry.q_value), ("p", entry.p_value)):
        if value is not None and math.isfinite(value):
            return f"{name} < 0.0001" if value < 1e-4 else f"{name} = {numbers.significant(value, 2)}"
    return ""


@dataclass(frozen=True)
class Caution:
    """Something that makes figures weaker than they look, and the tests it is about; none: the whole run."""

    sentence: str
    tests: tuple[str, ...] = ()


def cautions(verdict: Verdict) -> list[Caution]:
    """All warnings of the verdict: those of the run and its score, then those of its tests, gathered by sentence."""
    about: dict[str, list[str]] = {}
    for entry in verdict.tests:
        for sentence in entry.warnings:
            about.setdefault(sentence, []).append(entry.test)
    whole = [*verdict.warnings, *(verdict.score.warnings if verdict.score is not None else ())]
    return [
        *(Caution(sentence) for sentence in dict.fromkeys(whole)),
        *(Caution(sentence, tuple(tests)) for sentence, tests in about.items()),
    ]


def health_words(verdict: Verdict) -> list[str]:
    """How quiet the machine was over the whole run, one fact an item; empty when nobody looked."""
    seen = [entry.health for entry in verdict.tests if entry.health is not None]
    if not seen:
        return []
    rounds, disturbed = sum(health.rounds for health in seen), sum(health.disturbed_rounds for health in seen)
    facts = [f"{disturbed:,} of {numbers.count(rounds, 'round')} disturbed"]
    if (steal := _highest(health.steal for health in seen)) is not None:
        facts.append(f"time stolen by the host: at most {numbers.percent(steal)}")
    if (load := _highest(health.other_load for health in seen)) is not None:
        facts.append(f"other load: at most {numbers.percent(load)}")
    frequencies = [health.frequency_hertz for health in seen if health.frequency_hertz is not None]
    if frequencies:
        slowest, fastest = min(low for low, _, _ in frequencies), max(high for _, _, high in frequencies)
        facts.append(
            f"CPU frequency: {numbers.significant(slowest / 1e9, 3)} to {numbers.significant(fastest / 1e9, 3)} GHz"
        )
    throttled = [health.throttled for health in seen if health.throttled is not None]
    if throttled:
        events = sum(throttled)
        facts.append(numbers.count(events, "thermal throttle event") if events else "no thermal throttling")
    return facts


def disturbance(health: Health | None) -> str:
    """`3 of 480 rounds disturbed`, or "" when none was."""
    if health is None or not health.disturbed_rounds:
        return ""
    return f"{health.disturbed_rounds:,} of {numbers.count(health.rounds, 'round')} disturbed"


def _highest(values: Iterable[float | None]) -> float | None:
    return max((value for value in values if value is not None), default=None)


def torch_of(build: Build) -> str:
    """`torch 2.14.1 (3f2a91c)`; the commit when the build knows it."""
    commit = f" ({build.torch_git_version[:10]})" if build.torch_git_version else ""
    return f"torch {build.torch_version}{commit}"


def libraries_of(build: Build) -> str:
    """`oneDNN 3.12.0, ACL, kernels AVX512`: what the build computes with on a CPU; "" where it was not asked."""
    return ", ".join(name if told == "yes" else f"{name} {told}" for name, told in build.libraries.items())


def differing_packages(builds: Sequence[Build]) -> list[str]:
    """Packages of which not all builds have the same version, sorted; torch itself is named elsewhere."""
    names = set().union(*(build.packages.keys() for build in builds)) - {"torch"} if builds else set()
    return sorted(name for name in names if len({build.packages.get(name) for build in builds}) > 1)


def mean_speedups(speedups: Sequence[Speedup]) -> list[tuple[str, str, float, int]]:
    """Lane, what it was compared with, geometric mean of the speedup, number of tests: one item for each pair."""
    logs: dict[tuple[str, str], list[float]] = {}
    for speedup in speedups:
        if speedup.ratio > 0 and math.isfinite(speedup.ratio):
            logs.setdefault((speedup.lane, speedup.against), []).append(math.log(speedup.ratio))
    return [(*lanes, math.exp(math.fsum(found) / len(found)), len(found)) for lanes, found in logs.items()]
