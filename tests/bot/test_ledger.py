"""Accepted changes are shown and not raised, as far as they were accepted; small moves do not add up unseen."""

from __future__ import annotations

import datetime
import math

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot import ledger as ledgers
from bot import verdict as verdicts
from bot.judge import exit_code, judge
from bot.ledger import Item, Ledger
from bot.reference import Entry, Header, Reference
from bot.report import render
from bot.verdict import Verdict
from harness import records
from harness.errors import UserError
from tests import synthetic
from tests.synthetic import Case

A, B = "test_eval[a-cpu-eager]", "test_eval[b-cpu-eager]"
DAY = datetime.date(2026, 1, 2)
PINNED = msgspec.structs.replace(synthetic.BASE, specification="torch==2.13.0")
STORED = Header(pin="torch==2.13.0", fingerprint="m" * 16)
OTHERS = tuple(synthetic.cases(8))


def item(test: str, change: float, kind: ledgers.Kind = "accepted", **more: object) -> Item:
    fields = {"run": "r1", "date": DAY, "reason": "faster math was wrong", "by": "ada", **more}
    return Item(test=test, kind=kind, change=change, **fields)  # type: ignore[arg-type]


def judged(*cases: Case, items: tuple[Item, ...] = (), base: records.Build = PINNED, **options: object) -> Verdict:
    every = [*cases, *OTHERS]
    norms = {case.test: Entry(norm=case.seconds, spread=0.005, launches=12) for case in every}
    return judge(
        synthetic.run(every, base=base, **options),  # type: ignore[arg-type]
        reference=Reference("reference.yaml", norms, STORED),
        ledger=Ledger("l", items),
    )


def entry(found: Verdict, test: str = A) -> verdicts.TestVerdict:
    return next(one for one in found.tests if one.test == test)


@pytest.mark.parametrize("ratio", [1.12, 1 / 1.12])
def test_an_accepted_change_is_shown_and_not_raised(ratio: float) -> None:
    plain, found = judged(Case(A, ratio=ratio)), judged(Case(A, ratio=ratio), items=(item(A, ratio - 1),))
    assert entry(plain).signal
    one = entry(found)
    assert (one.outcome, one.change) == ("accepted", entry(plain).change)
    assert "ada" in one.reason and "faster math was wrong" in one.reason
    assert (found.outcome, exit_code(found)) == ("unchanged", 0)
    assert found.score is not None and found.score.outcome == "unchanged"
    assert any("Without what was accepted" in said for said in found.score.warnings)
    for kind in ("comment", "terminal", "html"):
        text = render(found, kind)
        assert "accepted" in text and "Accepted since 2026-01-02" in text


def test_what_goes_beyond_is_raised() -> None:
    found = judged(Case(A, ratio=1.12 * 1.10), items=(item(A, 0.12),))
    assert entry(found).outcome == "regressed"
    assert "beyond what was accepted" in entry(found).reason
    assert found.outcome == "regressed"


def test_luck_with_what_was_accepted_is_no_signal_of_the_score() -> None:
    """A suite of one test, whose score is that test: a little more than was accepted is within its threshold."""
    norms = {A: Entry(norm=0.01, spread=0.005, launches=12)}
    for ratio in (1.45, 1.30):
        found = judge(
            synthetic.run([Case(A, ratio=ratio)], base=PINNED),
            reference=Reference("r", norms, STORED),
            ledger=Ledger("l", (item(A, 0.4),)),
        )
        assert (entry(found).outcome, found.outcome) == ("accepted", "unchanged")


def test_less_than_was_accepted_is_accepted() -> None:
    assert entry(judged(Case(A, ratio=1.12), items=(item(A, 0.6),))).outcome == "accepted"


def test_an_acceptance_of_one_direction_does_not_hold_for_the_other() -> None:
    assert entry(judged(Case(A, ratio=1 / 1.12), items=(item(A, 0.12),))).outcome == "improved"


@pytest.mark.parametrize(
    ("until", "outcome"), [(DAY, "accepted"), (DAY - datetime.timedelta(1), "regressed"), (None, "accepted")]
)
def test_an_acceptance_ends(until: datetime.date | None, outcome: str) -> None:
    earlier = DAY - datetime.timedelta(30)
    found = judged(Case(A, ratio=1.12), items=(item(A, 0.12, until=until, date=earlier),))
    assert entry(found).outcome == outcome
    assert any("+12 %" in said or "+12.0 %" in said for said in found.warnings), "what was spent stays spent"


def test_acceptances_add_up_until_the_reference_takes_them_in() -> None:
    items = (item(A, 0.08), item(A, 0.05, run="r2"))
    assert entry(judged(Case(A, ratio=1.08 * 1.05), items=items)).outcome == "accepted"
    moved = (*items, item(A, 1.08 * 1.05 - 1, "moved", run="r3"))
    assert entry(judged(Case(A, ratio=1.08 * 1.05), items=moved)).outcome == "regressed"
    assert entry(judged(Case(A, ratio=1.0), items=moved)).outcome == "unchanged", "accepted moves are no drift"


def test_small_moves_of_the_reference_do_not_add_up_unseen() -> None:
    crept = tuple(item(A, 0.03, "moved", run=f"r{n}", since="torch==2.12.0", reason="") for n in range(2))
    found = judged(Case(A, ratio=1.03), items=crept)
    one = entry(found)
    assert one.outcome == "regressed" and found.outcome == "regressed"
    assert one.reason.startswith("drift: +9.") and "torch==2.12.0 (2026-01-02)" in one.reason
    assert entry(judged(Case(A, ratio=1.0), items=crept[:1])).outcome == "unchanged"
    assert entry(judged(Case(B, ratio=1.03), items=crept), B).outcome == "unchanged"
    accepted = (*crept, item(A, 0.03, run="r9"))
    assert entry(judged(Case(A, ratio=1.03), items=accepted)).outcome == "unchanged", "the last step was agreed to"


def test_a_pull_request_is_excused_for_its_own_commit_only() -> None:
    head = msgspec.structs.replace(synthetic.HEAD, specification="git:" + "c" * 40)
    ours, theirs = (item(A, 0.12, commit=letter * 40) for letter in "cd")
    options = {"base": synthetic.BASE, "head": head}
    assert entry(judged(Case(A, ratio=1.12), items=(theirs,), **options)).outcome == "regressed"  # type: ignore[arg-type]
    assert entry(judged(Case(A, ratio=1.12), items=(ours,), **options)).outcome == "accepted"  # type: ignore[arg-type]


def test_a_second_run_looks_at_what_the_ledger_leaves() -> None:
    crept = tuple(item(A, 0.03, "moved", run=f"r{n}") for n in range(2))
    cases = [Case(A, ratio=1.03), Case(B, ratio=1.12), *OTHERS]
    norms = {case.test: Entry(norm=case.seconds, spread=0.005, launches=12) for case in cases}
    first = synthetic.run(cases, base=PINNED)
    second = synthetic.run(cases[:1], base=PINNED, seed=9, confirms=first.header.run, run_id="second", launches=36)
    found = judge(
        first,
        reference=Reference("r", norms, STORED),
        confirmation=second,
        ledger=Ledger("l", (*crept, item(B, 0.12))),
    )
    assert entry(found, B).outcome == "accepted"
    assert entry(found).outcome == "regressed" and entry(found).confirmation is not None


# The file.

_TEXTS = st.text(st.characters(exclude_categories=("Cs",)), max_size=60).map(lambda text: " ".join(text.split()))


@given(
    st.lists(
        st.builds(
            Item,
            run=st.from_regex(r"[A-Za-z0-9-]{1,20}", fullmatch=True),
            test=st.sampled_from([A, B, "test_train[c d-cuda-inductor]"]),
            kind=st.sampled_from(["accepted", "moved"]),
            change=st.floats(-0.9, 10),
            date=st.dates(),
            by=_TEXTS,
            reason=_TEXTS,
            commit=_TEXTS,
            until=st.none() | st.dates(),
            since=_TEXTS,
        ),
        max_size=5,
        unique_by=lambda one: (one.run, one.kind, one.test),
    )
)
def test_what_is_written_is_read_again(items: list[Item]) -> None:
    text = ledgers.added(None, items, "l.yaml")
    assert list(ledgers.parse(text, "l.yaml").items) == items
    assert ledgers.added(text, items, "l.yaml") == text, "nothing is added twice"


def test_what_was_there_stays_as_it_was() -> None:
    before = "# ours\n'r0 accepted test_eval[x-cpu-eager]': {change: 0.1, date: 2026-01-01} # why\n"
    after = ledgers.added(before, [item(A, 0.12)], "l.yaml")
    assert after.startswith(before)
    assert len(ledgers.parse(after, "l.yaml").items) == 2


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("r1 accepted nonsense: {change: 0.1, date: 2026-01-01}", "is no entry"),
        ("r1 allowed test_eval[a-cpu-eager]: {change: 0.1, date: 2026-01-01}", "is no entry"),
        ("r1 accepted test_eval[a-cpu-eager]: 5", "not a mapping"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: 0.1}", "has no date"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: x, date: 2026-01-01}", "change cannot be"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: nan, date: 2026-01-01}", "change cannot be"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: -2, date: 2026-01-01}", "change cannot be"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: 0.1, date: 2026-13-01}", "date cannot be"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: 0.1, date: 2026-01-01, who: me}", "'who' is not a key"),
        ("r1 accepted test_eval[a-cpu-eager]: {change: [1], date: 2026-01-01}", "not a single value"),
    ],
)
def test_a_bad_ledger_is_one_sentence(text: str, said: str) -> None:
    with pytest.raises(UserError, match=r"l\.yaml:1: ") as caught:
        ledgers.parse(text.replace("r1", '"r1', 1).replace("]:", ']":', 1) if "[a" in text else text, "l.yaml")
    assert said in str(caught.value)


# Accepting.


def test_accepting_takes_the_size_from_the_verdict() -> None:
    found = judged(Case(A, ratio=1.12), Case(B, ratio=1.2))
    (one,) = ledgers.accepting(found, A, reason="  for\n a reason ", by="ada", until=datetime.date(2027, 1, 1))
    assert (one.test, one.change, one.reason) == (A, entry(found).change, "for a reason")
    assert {one.test for one in ledgers.accepting(found, "all", reason="both")} == {A, B}
    head = msgspec.structs.replace(synthetic.HEAD, specification="git:" + "e" * 40)
    (one,) = ledgers.accepting(judged(Case(A, ratio=1.12), head=head), A, reason="x")
    assert one.commit == "e" * 40


@pytest.mark.parametrize(
    ("test", "options", "said"),
    [
        ("test_eval[none-cpu-eager]", {"reason": "x"}, "no test"),
        (A, {"reason": " "}, "--reason"),
        (A, {"reason": "x" * 501}, "--reason"),
        (A, {"reason": "x", "until": datetime.date(2025, 1, 1)}, "before the run"),
    ],
)
def test_what_cannot_be_accepted(test: str, options: dict[str, object], said: str) -> None:
    with pytest.raises(UserError, match=said):
        ledgers.accepting(judged(Case(A, ratio=1.12)), test, **options)  # type: ignore[arg-type]
    with pytest.raises(UserError, match="no signal"):
        ledgers.accepting(judged(Case(A)), "all", reason="x")


def test_moves_are_what_an_update_changes() -> None:
    old = Reference("r", {A: Entry(norm=0.010), B: Entry(norm=0.010)}, STORED)
    new = Reference("r", {A: Entry(norm=0.011), B: Entry(norm=0.010)}, None)
    (move,) = ledgers.moves(old, new, synthetic.run([Case(A)]).header)
    assert (move.test, move.kind, move.since) == (A, "moved", "torch==2.13.0")
    assert math.isclose(move.change, 0.1)
