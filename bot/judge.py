"""From a run to a verdict: which tests became slower, and how sure that is.

Promises design section 3. Every test of the plan gets an entry, except those that the registry foresees as impossible
(status `skip`), which are no alarm and are named in the warnings. A test that is missing, failed or undecided never
counts as a pass, and a run in which nothing could be compared is inconclusive. The verdict depends on what the run
holds, not on the order of its tests or shards.

There are two sources. With base and head lanes in the run, head against base decides; a reference then says which tests
the score is made of, and how far the machine has drifted. Without base lanes, the run is compared with the reference.
"""

from __future__ import annotations

import dataclasses
import datetime
import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bot import cautions, numbers, reproduce, score
from bot import comparison as comparisons
from bot import confirmation as confirmations
from bot import ledger as ledgers
from bot import policy as policies
from bot.commonmode import CommonMode, common_mode
from bot.comparison import CONTROL_SUITE, Comparison
from bot.confirmation import Second
from bot.explanation import Explanations
from bot.ledger import Ledger
from bot.policy import Conclusion, Evidence, Rule
from bot.reference import Entry, Reference
from bot.speedup import speedups
from bot.taskmap import TASKS
from bot.verdict import (
    EXIT_CODES,
    SIGNALS,
    Input,
    Mover,
    Outcome,
    Policy,
    ScoreVerdict,
    SecondRun,
    TestVerdict,
    Verdict,
)
from harness import __version__, stats
from harness.benchmark import suite_name
from harness.errors import UserError
from harness.records import LaneRecord, Run, Status, Test
from harness.testname import canonical, parse_test_name, quoted

LONGEST_STDERR = 4000
"""Characters of a failed test's stderr that a verdict keeps, from its end."""

_FAILURES: frozenset[Status] = frozenset({"fail_accuracy", "fail_to_run", "OOM", "timeout", "crash"})
_DECIDED: frozenset[Outcome] = frozenset({"regressed", "improved", "unchanged", "accepted"})
_OPEN: frozenset[Outcome] = frozenset({"inconclusive", "failed", "missing"})


def judge(
    run: Run,
    *,
    policy: Policy | None = None,
    reference: Reference | None = None,
    confirmation: Run | None = None,
    ledger: Ledger | None = None,
    inputs: Sequence[Input] = (),
    explanations: Explanations | None = None,
) -> Verdict:
    """The verdict on a run, against its own base lanes or else against a reference.

    `confirmation` is a run that measured suspect tests again (`bot.confirmation`); `ledger` says which changes were
    accepted and how the reference has moved; `explanations` say why tests of this run changed. `inputs` names the files
    that all of these came from, for `bot.replay`. Raises UserError for a policy that cannot be meant, a test whose name
    is not in V1's grammar, seconds that no step can take, a confirmation of another run or of other builds, and
    explanations of another run.
    """
    policy = Policy() if policy is None else policy
    norms = None if reference is None else {canonical(name): entry for name, entry in reference.tests.items()}
    case = _Case(run, policy, policies.rule(policy), norms)
    if ledger is not None:
        ledger = ledgers.that_holds(ledger, run.header, reference.header if reference is not None else None)
    tests = sorted(run.tests, key=lambda test: test.test)
    every = [draft for test in tests if test.status != "skip" for draft in _drafted(case, test)]
    every, wander = _widened(every)
    drafts = [draft for draft in every if draft.test.suite != CONTROL_SUITE]
    controls = [draft for draft in every if draft.test.suite == CONTROL_SUITE]
    entries = [*_concluded(case, drafts), *_absent(case)]
    common = _common_mode(case, drafts, controls)
    scored = _scored(case, drafts, entries)
    second_run = None
    if confirmation is not None:
        seen = _by_ledger(case, drafts, entries, ledger)
        suspects = frozenset(confirmations.wanted(seen, scored))
        drafts, entries, second_run = _confirmed(case, drafts, entries, suspects, confirmation, wander)
        scored = _scored(case, drafts, entries)
    if common is not None and common.withdraws:
        entries, scored = _withdrawn(entries, scored, common)
    entries = _by_ledger(case, drafts, entries, ledger)
    scored = _score_by_ledger(case, drafts, entries, scored, ledger)
    entries = _explained(entries, run, explanations)
    entries.sort(key=lambda entry: entry.test)
    detectable = [entry.detectable for entry in entries if entry.detectable is not None]
    header = run.header
    return Verdict(
        tool_version=__version__,
        run=header.run,
        started=header.started,
        elapsed_seconds=_elapsed(run),
        policy=policy,
        inputs=tuple(inputs),
        outcome=outcome_of_all(entries, scored, complete=run.complete or not case.rule.names_absent),
        tests=tuple(entries),
        score=scored,
        speedups=speedups(tests, policy.confidence),
        controls=tuple(_concluded(case, controls)),
        second_run=second_run,
        detectable=statistics.median(detectable) if detectable else None,
        detectable_worst=max(detectable, default=None),
        machine=header.machine,
        builds=header.builds,
        plan=header.plan,
        reproduce=reproduce.command(header, [entry.test for entry in entries if entry.signal]),
        warnings=(
            *([common.sentence] if common is not None else []),
            *(ledgers.cautions_of(ledger, [entry.test for entry in entries]) if ledger is not None else []),
            *cautions.of_run(
                run,
                skipped={test.test: test.reason for test in tests if test.status == "skip"},
                drifts=[draft.drift for draft in every if draft.drift is not None],
                drift_limit=policy.score_threshold,
                reference=reference.header if reference else None,
                referenced=reference is not None,
                wander=wander[0] if wander is not None else None,
            ),
        ),
    )


def outcome_of_all(entries: Iterable[TestVerdict], score: ScoreVerdict | None, *, complete: bool) -> Outcome:
    """The outcome of the whole, one of regressed, inconclusive, improved, unchanged; the first that holds.

    `complete` says that the run came to its end. A score that is itself undecided does not make the whole so: its tests
    say what could not be seen.
    """
    found = {entry.outcome for entry in entries}
    signal = score.outcome if score is not None else "unchanged"
    if "regressed" in found or signal == "regressed":
        return "regressed"
    if not complete or found & _OPEN or not found & _DECIDED:
        return "inconclusive"
    return "improved" if "improved" in found or signal == "improved" else "unchanged"


def exit_code(verdict: Verdict) -> int:
    """The exit code of `judge` and `bench`: 0 nothing to report, 1 regression, 3 inconclusive."""
    return EXIT_CODES[verdict.outcome]


@dataclass(frozen=True)
class _Case:
    """What is judged, and by what. `norms` is the reference's entries by canonical name, None without a reference."""

    run: Run
    policy: Policy
    rule: Rule
    norms: Mapping[str, Entry] | None

    def norm(self, test: str) -> Entry | None:
        return self.norms.get(canonical(test)) if self.norms is not None else None

    def threshold(self, test: str, suite: str) -> float:
        entry = self.norm(test)
        if entry is not None and entry.threshold is not None:
            return entry.threshold
        return policies.threshold(self.policy, test, suite)

    @property
    def suite(self) -> str:
        """The suite of tests that have no result of their own; "" where there are several."""
        suites = self.run.header.plan.suites
        return suite_name(suites[0]) if len(suites) == 1 else ""

    @property
    def against(self) -> str:
        """What the run as a whole is compared with."""
        base = self.run.header.plan.base
        return base if base is not None else comparisons.REFERENCE if self.norms is not None else ""


@dataclass(frozen=True)
class _Draft:
    """A test before false-discovery control. `settled` is an outcome that does not hang on figures.

    `drift` compares the base lane with the stored norm.
    """

    test: Test
    threshold: float
    head: LaneRecord | None = None
    base: LaneRecord | None = None
    comparison: Comparison | None = None
    drift: Comparison | None = None
    settled: Conclusion | None = None
    warnings: tuple[str, ...] = ()


def _drafted(case: _Case, test: Test) -> list[_Draft]:
    """The test's draft, or nothing where the policy does not report it."""
    draft = _draft(case, test)
    silent = draft.comparison is None or test.status != "pass"
    return [] if silent and not case.rule.names_absent else [draft]


def _widened(drafts: Sequence[_Draft]) -> tuple[list[_Draft], tuple[float, int] | None]:
    """The drafts with the machine's wander in every comparison with a norm, and that wander with the number of tests
    that showed it; None without such.
    """
    found = [
        draft.comparison
        for draft in drafts
        if draft.comparison is not None
        and draft.comparison.against == comparisons.REFERENCE
        and draft.comparison.standard_error is not None
    ]
    if (error := comparisons.wander(found)) is None:
        return list(drafts), None
    return [
        dataclasses.replace(draft, comparison=comparisons.widened(draft.comparison, error, len(found)))
        if draft.comparison is not None
        else draft
        for draft in drafts
    ], (error, len(found))


def _draft(case: _Case, test: Test) -> _Draft:
    threshold = case.threshold(test.test, test.suite)
    head, base = comparisons.head_lane(test, case.run), comparisons.base_lane(test, case.run)
    if test.status in _FAILURES:
        reason = f"{test.status}: {test.reason}" if test.reason else test.status
        return _Draft(test, threshold, head, base, settled=Conclusion("failed", reason))
    norm = case.norm(test.test)
    compared, lack = _compared(case, head, base, norm)
    drift = None
    if base is not None and norm is not None and case.rule.intervals:
        drift = comparisons.with_norm(base, norm, case.policy.confidence)
    settled = None
    if test.status == "inconclusive":
        settled = Conclusion("inconclusive", test.reason or "the engine could not measure it well enough")
    elif compared is None:
        settled = lack
    warnings: list[str] = []
    if compared is not None and case.rule.intervals:
        warnings += cautions.of_test(test, case.run.header.plan, compared)
        if compared.against == comparisons.REFERENCE and norm is not None:
            warnings += cautions.of_norm(norm)
        if drift is not None:
            warnings += cautions.of_drift(drift, threshold)
    return _Draft(test, threshold, head, base, compared, drift, settled, tuple(warnings))


def _compared(
    case: _Case, head: LaneRecord | None, base: LaneRecord | None, norm: Entry | None
) -> tuple[Comparison | None, Conclusion]:
    """The comparison that the policy asks for, and what is to be concluded where it cannot be made."""
    confidence, plan = case.policy.confidence, case.run.header.plan
    if head is None:
        return None, Conclusion("missing", "the run holds no lane of the head")
    if plan.base is not None:
        if base is None:
            return None, Conclusion("new", "the base has no such lane")
        lack = Conclusion("inconclusive", "base and head share no round")
        if not case.rule.intervals:
            return comparisons.of_means(head, base), lack
        return comparisons.between_lanes(base, head, confidence), lack
    if norm is None:
        where = "there is nothing to compare with" if case.norms is None else "the reference has no norm for it"
        return None, Conclusion("new", where)
    lack = Conclusion("inconclusive", "the lane holds no sample")
    if not case.rule.intervals:
        return comparisons.of_means(head, norm), lack
    return comparisons.with_norm(head, norm, confidence), lack


def _concluded(case: _Case, drafts: Sequence[_Draft]) -> list[TestVerdict]:
    """Entries of all drafts; false discoveries are controlled over those whose outcome hangs on their figures."""
    p_values = {
        draft.test.test: draft.comparison.p_value
        for draft in drafts
        if draft.settled is None and draft.comparison is not None and draft.comparison.p_value is not None
    }
    adjusted = stats.benjamini_hochberg([value for value in p_values.values() if value is not None])
    q_values = dict(zip(p_values, adjusted, strict=True))
    return [_entry(case, draft, q_values.get(draft.test.test)) for draft in drafts]


def _entry(case: _Case, draft: _Draft, q_value: float | None) -> TestVerdict:
    test, compared = draft.test, draft.comparison
    plan = case.run.header.plan
    if draft.settled is not None:
        conclusion = draft.settled
    else:
        assert compared is not None, "a draft without a comparison is settled"
        evidence = Evidence(compared.change, compared.low, compared.high, draft.threshold, q_value)
        conclusion = case.rule.of_test(evidence, case.policy)
    entry = TestVerdict(
        test=test.test,
        lane=f"{test.mode}@{plan.head}",
        outcome=conclusion.outcome,
        reason=conclusion.reason,
        threshold=draft.threshold,
        q_value=q_value,
        head_seconds=comparisons.typical_seconds(draft.head) if draft.head else None,
        base_figures=_figures(draft.base, case.norm(test.test)),
        head_figures=_figures(draft.head),
        stopped=test.stopped,
        elapsed_seconds=test.elapsed_seconds,
        health=test.health,
        stderr=test.stderr[-LONGEST_STDERR:] if conclusion.outcome in _OPEN else "",
        warnings=draft.warnings,
    )
    if compared is None:
        return entry
    return _with_figures(entry, draft, compared)


def _with_figures(entry: TestVerdict, draft: _Draft, compared: Comparison) -> TestVerdict:
    """The entry with what a comparison says; raw samples too where it is a signal."""
    lanes = [lane for lane in (draft.base, draft.head) if lane is not None]
    return msgspec.structs.replace(
        entry,
        against=compared.against,
        change=compared.change,
        low=compared.low,
        high=compared.high,
        base_seconds=compared.base_seconds,
        head_seconds=compared.head_seconds,
        p_value=compared.p_value,
        detectable=compared.detectable,
        launches=compared.launches,
        samples=comparisons.samples(lanes) if entry.signal else (),
        phases=comparisons.phase_changes(draft.base, draft.head) if draft.base and draft.head else {},
    )


def _common_mode(case: _Case, drafts: Sequence[_Draft], controls: Sequence[_Draft]) -> CommonMode | None:
    """What moved all tests alike, where the policy knows of intervals."""
    if not case.rule.intervals:
        return None
    models = [(draft.test.benchmark, draft.comparison) for draft in drafts if draft.comparison is not None]
    still = [draft.comparison for draft in controls if draft.comparison is not None]
    return common_mode(models, still, case.policy.threshold)


def _withdrawn(
    entries: Sequence[TestVerdict], scored: ScoreVerdict | None, common: CommonMode
) -> tuple[list[TestVerdict], ScoreVerdict | None]:
    """Entries and score without the signals that are no more than what moved in common."""
    reason = f"it moved with {'the control lanes' if common.controls == 'moved' else 'everything else'}"
    revised = [
        msgspec.structs.replace(entry, outcome="inconclusive", reason=reason)
        if entry.signal and entry.change is not None and common.covers(entry.change, entry.threshold)
        else entry
        for entry in entries
    ]
    if scored is not None and scored.outcome in SIGNALS:
        said = "What moved in common moved the score too, so it says nothing of the models."
        scored = msgspec.structs.replace(scored, outcome="inconclusive", warnings=(*scored.warnings, said))
    return revised, scored


def _confirmed(
    case: _Case,
    drafts: Sequence[_Draft],
    entries: Sequence[TestVerdict],
    suspects: frozenset[str],
    second: Run,
    wander: tuple[float, int] | None,
) -> tuple[list[_Draft], list[TestVerdict], SecondRun]:
    """Drafts and entries after a second run has looked at the suspect ones, and what it was."""
    _check_confirmation(case, second)
    header = second.header
    again = dataclasses.replace(case, run=second)
    same_machine = header.machine.fingerprint == case.run.header.machine.fingerprint
    found = {test.test: test for test in second.tests}
    by_test = {draft.test.test: draft for draft in drafts}
    figures: list[TestVerdict] = []
    for entry in entries:
        draft = by_test.get(entry.test)
        if entry.test not in suspects or draft is None or draft.comparison is None:
            figures.append(entry)
            continue
        seen = _second(again, found.get(entry.test), same_machine, wander)
        if seen.comparison is None and not confirmations.is_suspect(entry):
            figures.append(entry)
            continue
        told = confirmations.concluded(entry, draft.comparison, seen, case.policy)
        # What only the first run shows and the second does not must not reach the score either.
        doubtful = told.comparison is draft.comparison and told.confirmation.outcome != "confirmed"
        by_test[entry.test] = dataclasses.replace(draft, comparison=None if doubtful else told.comparison)
        refuted = entry.signal and told.conclusion.outcome not in SIGNALS
        revised = msgspec.structs.replace(
            entry,
            warnings=(*entry.warnings, cautions.UNCONFIRMED) if refuted else entry.warnings,
            outcome=told.conclusion.outcome,
            reason=told.conclusion.reason,
            confirmation=told.confirmation,
            elapsed_seconds=entry.elapsed_seconds + (found[entry.test].elapsed_seconds if entry.test in found else 0.0),
        )
        figures.append(_with_figures(revised, draft, told.comparison))
    outcomes = [entry.confirmation.outcome for entry in figures if entry.confirmation is not None]
    before = {entry.test for entry in entries if entry.signal}
    run = SecondRun(
        run=header.run,
        machine=header.machine,
        elapsed_seconds=_elapsed(second),
        tests=len(outcomes),
        confirmed=outcomes.count("confirmed"),
        unconfirmed=sum(entry.test in before and not entry.signal for entry in figures),
        chance=confirmations.CHANCE,
    )
    return [by_test[draft.test.test] for draft in drafts], figures, run


def _by_ledger(
    case: _Case, drafts: Sequence[_Draft], entries: Sequence[TestVerdict], ledger: Ledger | None
) -> list[TestVerdict]:
    """Entries after the ledger: what was accepted is no signal, what crept since the oldest reference is one."""
    if ledger is None or not case.rule.intervals:
        return list(entries)
    day = ledgers.day_of(case.run.header.started)
    compared = {draft.test.test: draft.comparison for draft in drafts}
    return [ledgers.told_by(ledger, entry, compared.get(entry.test), day, case.policy) for entry in entries]


def _score_by_ledger(
    case: _Case,
    drafts: Sequence[_Draft],
    entries: Sequence[TestVerdict],
    scored: ScoreVerdict | None,
    ledger: Ledger | None,
) -> ScoreVerdict | None:
    """The score, which is a signal only by what was not accepted."""
    if scored is None or ledger is None or not case.rule.intervals:
        return scored
    day = ledgers.day_of(case.run.header.started)
    accepted = frozenset(entry.test for entry in entries if entry.outcome == "accepted")
    levels = {draft.test.test: _excused(ledger, draft, day, accepted) for draft in drafts}
    if not any(levels.values()):
        return scored
    less = [
        dataclasses.replace(draft, comparison=comparisons.less(draft.comparison, levels[draft.test.test]))
        if draft.comparison is not None
        else draft
        for draft in drafts
    ]
    rest = _scored(case, less, entries)
    if rest is None:
        return scored
    shown = numbers.measured(rest.value, rest.low, rest.high)
    said = f"Without what was accepted the score would be {shown}; only that can be a signal."
    outcome = rest.outcome if scored.outcome in SIGNALS else scored.outcome
    return msgspec.structs.replace(scored, outcome=outcome, warnings=(*scored.warnings, said))


def _excused(ledger: Ledger, draft: _Draft, day: datetime.date, accepted: frozenset[str]) -> float:
    """How much of a test's log ratio does not count: what was accepted of it, or all where it is no signal for that."""
    if draft.test.test in accepted or ledger.ignored(draft.test.test, day) is not None:
        return draft.comparison.log_ratio if draft.comparison is not None else 0.0
    return math.fsum(item.log_ratio for item in ledger.accepted(draft.test.test, day))


def _second(case: _Case, test: Test | None, same_machine: bool, wander: tuple[float, int] | None) -> Second:
    """What the second run, which `case` holds, says of a test."""
    machine = case.run.header.machine.name
    if test is None:
        return Second(machine, same_machine, None, "it holds no result for it")
    draft = _draft(case, test)
    compared = draft.comparison
    if draft.settled is not None or compared is None:
        return Second(machine, same_machine, None, draft.settled.reason if draft.settled else "")
    if wander is not None:
        # Too few tests are measured again to tell how far the machine has moved; what the first run saw holds.
        compared = comparisons.widened(compared, *wander)
    return Second(machine, same_machine, compared)


def _check_confirmation(case: _Case, second: Run) -> None:
    first, header = case.run.header, second.header
    if not case.rule.intervals:
        raise UserError(f"the policy {case.policy.name} has no intervals to confirm; judge without a second run")
    if header.plan.confirms != first.run:
        of = f"run {header.plan.confirms}" if header.plan.confirms else "no other run"
        raise UserError(f"{header.run} confirms {of}, not {first.run}; measure it with `torchwarden run --confirm`")
    # What torch sees of a CPU is in its fingerprint, so on another machine the versions have to do.
    alike = first.machine.fingerprint == header.machine.fingerprint
    builds = [
        {
            build.name: build.fingerprint if alike else (build.torch_git_version or build.torch_version)
            for build in one.builds
        }
        for one in (first, header)
    ]
    if builds[0] != builds[1]:
        raise UserError(f"{header.run} was measured with other builds than {first.run}; measure both with the same")
    for field in ("size", "device", "threads", "modes", "base", "head", "iterations", "compat", "updates"):
        then, now = getattr(first.plan, field), getattr(header.plan, field)
        if then != now:
            raise UserError(f"{header.run} was measured with another {field} than {first.run} ({now}, not {then})")


def _figures(lane: LaneRecord | None, norm: Entry | None = None) -> dict[str, float]:
    found = comparisons.figures(lane) if lane is not None else {}
    if norm is not None:
        found["reference_seconds"] = norm.norm
    return found


def _explained(entries: list[TestVerdict], run: Run, given: Explanations | None) -> list[TestVerdict]:
    """The entries with the lines of their explanations. Raises UserError for explanations of something else."""
    if given is None:
        return entries
    if given.run != run.header.run:
        raise UserError(
            f"the explanation is of the run {quoted(given.run)}, not of {run.header.run}; explain this run's verdict"
        )
    if strangers := {one.test for one in given.tests} - {entry.test for entry in entries}:
        raise UserError(f"the explanation names {quoted(min(strangers))}, which this run has not; explain its verdict")
    return [
        entry
        if (found := given.of(entry.test)) is None
        else msgspec.structs.replace(entry, explanation=found.lines, operators=found.tables.operators)
        for entry in entries
    ]


def _absent(case: _Case) -> list[TestVerdict]:
    """Entries of the planned tests that have no line."""
    if not case.rule.names_absent:
        return []
    plan = case.run.header.plan
    reason = "planned, but the run holds no result for it"
    return [
        TestVerdict(
            test=name,
            lane=f"{parse_test_name(name).mode}@{plan.head}",
            outcome="missing",
            reason=reason,
            threshold=case.threshold(name, case.suite),
            base_figures=_figures(None, case.norm(name)),
        )
        for name in dict.fromkeys(case.run.missing)
    ]


def _scored(case: _Case, drafts: Sequence[_Draft], entries: Sequence[TestVerdict]) -> ScoreVerdict | None:
    """The score of the head; None where no test can be scored.

    What enters is each test's ratio to what it was compared with, also where a reference gives the weights: with a base
    in the run, a machine that has drifted since does not move the score.
    """
    tasks = {parse_test_name(test.test).model: (test.category, test.domain) for test in case.run.tests}
    sound = {
        draft.test.test: draft.comparison
        for draft in drafts
        if draft.comparison is not None and draft.test.status == "pass"
    }
    then = {name: entry.norm for name, entry in (case.norms or {}).items()}
    if case.norms is None:
        then = {name: compared.base_seconds for name, compared in sound.items()}
        # A test without figures has a weight all the same, which lowers the coverage; its seconds are never looked at.
        # A model without a task would be a category of its own and distort the others' weights.
        lost = (entry.test for entry in entries if entry.outcome in _OPEN and entry.test not in sound)
        placed = {*tasks, *TASKS}
        then |= {name: 1.0 for name in lost if parse_test_name(name).model in placed}
    known = {canonical(name): seconds for name, seconds in then.items()}
    shared = [name for name in sound if canonical(name) in known]
    if not shared:
        return None
    ratios = {name: sound[name].log_ratio for name in shared}
    errors = {name: error for name in shared if (error := _error(sound[name])) is not None}

    def over(logs: Mapping[str, float]) -> score.Score:
        now = {name: known[canonical(name)] * (1 + policies.relative(log)) for name, log in logs.items()}
        return score.score(now, then, errors, tasks=tasks)

    found = over(ratios)
    weights = {canonical(name): weight for name, weight in score.weights(then, tasks).combined.items()}
    p_value = _score_p_value(weights, {name: sound[name] for name in shared})
    warnings = list(found.warnings)
    drifts = {draft.test.test: draft.drift.log_ratio for draft in drafts if draft.drift is not None}
    if moved := {name: log + drifts[name] for name, log in ratios.items() if name in drifts}:
        raw = numbers.significant(over(moved).value, 3)
        warnings.append(f"Against the stored norms themselves, the drift of the machine included, the score is {raw}.")
    return ScoreVerdict(
        value=found.value,
        low=found.low,
        high=found.high,
        coverage=found.coverage,
        outcome=case.rule.of_score(found.value, found.low, found.high, p_value, case.policy),
        threshold=case.policy.score_threshold,
        subscores={part.name: part.value for part in found.subscores},
        movers=tuple(Mover(test=one.test, weight=one.weight, points=one.points) for one in found.movers),
        against=case.against,
        warnings=tuple(warnings),
    )


def _error(compared: Comparison) -> float | None:
    """The standard error that a normal distribution would need for the test's own interval.

    A score adds tests up as if they were normal; few launches make Student's t wider, and this keeps that width.
    """
    if compared.low is None or compared.high is None:
        return None
    return (math.log1p(compared.high) - math.log1p(compared.low)) / (2 * score.NORMAL_QUANTILE)


def _score_p_value(weights: Mapping[str, float], tests: Mapping[str, Comparison]) -> float | None:
    """Two-sided, against a score of 1000; None when no test has an interval. `weights` is by canonical test name."""
    parts = [
        stats.Part(weights[canonical(name)], test.log_ratio, test.standard_error, test.degrees_of_freedom)
        for name, test in tests.items()
        if test.standard_error is not None
    ]
    return stats.weighted_mean(parts).p_value if parts else None


def _elapsed(run: Run) -> float:
    ended = len(run.footers) == run.shards
    total = sum(part.elapsed_seconds for part in (run.footers if ended else run.tests))
    # JSON has no infinity, and a foreign file may hold figures that add up to it.
    return total if math.isfinite(total) else 0.0
