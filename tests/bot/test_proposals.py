"""Proposals of changes of a reference: better figures, what joins what, and what people have closed."""

from __future__ import annotations

import hashlib

import msgspec
import pytest

from bot import ledger, proposals, reference
from bot.proposals import Change
from bot.verdict import Input
from harness.errors import UserError
from tests.bot import pullrequests, verdicts
from tests.bot.pullrequests import LEDGER, REFERENCE, WORSE
from tests.github import connection

FASTER = "test_eval[resnet18-cpu-inductor]"
PIN = "torch==2.13.0"


@pytest.fixture
def server():
    with connection.github() as server:
        pullrequests.furnish(server)
        yield server


def judged_by(content: bytes, *entries, **changes):
    """A verdict of these entries that was judged by a reference with this content."""
    inputs = (Input(name="hosted.yaml", kind="reference", sha256=hashlib.sha256(content).hexdigest()),)
    return verdicts.verdict(entries, **{"inputs": inputs, **changes})


def better(content: bytes, *entries, **changes) -> Change:
    return proposals.better(REFERENCE, content, judged_by(content, *entries, **changes))


def compared(outcome: str, change: float, half: float | None, against: str = "reference", test: str = FASTER):
    return msgspec.structs.replace(verdicts.entry(test, outcome, change, half, 0.0187), against=against)


def faster(against: str = "reference"):
    return compared("improved", -0.12, 0.014, against)


def on(server, branch: str, path: str = REFERENCE) -> str:
    return connection.client(server).file(path, branch).decode()


def twice(server, change: Change, done: str) -> proposals.Posted:
    client = connection.client(server)
    posted = proposals.propose(client, change)
    before = server.snapshot()
    again = proposals.propose(client, change)
    assert server.snapshot() == before
    assert posted.done == done and again.number == posted.number
    assert again.done == (done if done in ("nothing", "declined") else "unchanged")
    return posted


def test_a_better_figure_is_proposed_with_the_difference_explained(server):
    posted = twice(server, better(pullrequests.norms(), faster()), "created")
    branch = proposals.branch_of(REFERENCE)
    text, old = on(server, branch), pullrequests.norms().decode()
    stored = reference.parse(text, REFERENCE)
    assert stored.tests[FASTER].norm == pytest.approx(0.0187 * 0.88)
    assert stored.tests[FASTER].launches == 24 and 0 < stored.tests[FASTER].spread < 0.2
    assert text.startswith("# Ours.\n")
    different = [one for one in zip(old.splitlines(), text.splitlines(), strict=True) if one[0] != one[1]]
    assert len(different) == 1, "the line of that test and no other"
    (item,) = ledger.parse(on(server, branch, LEDGER), LEDGER).items
    assert (item.kind, item.test, round(item.change, 2)) == ("moved", FASTER, -0.12)
    kept = server.state.issues[posted.number]
    assert kept["title"] == "Reference smoke/hosted: 1 new norm"
    assert f"| `{FASTER}` | 18.7 → 16.5 ms | -12.0 % |" in kept["body"].replace("−", "-").replace("-12 %", "-12.0 %")


@pytest.mark.parametrize(
    "entry",
    [
        compared("unchanged", -0.02, 0.014),
        compared("regressed", 0.12, 0.014),
        compared("improved", -0.12, None),
        compared("improved", -0.12, 0.13),
        compared("improved", -0.12, 0.01, "inductor@base"),
    ],
    ids=["small", "slower", "no interval", "an interval that reaches zero", "better than its own base"],
)
def test_what_the_interval_does_not_show_is_no_better_figure(entry):
    with pytest.raises(UserError, match="shows no test that is better"):
        better(pullrequests.norms(), entry)


def test_a_verdict_that_was_judged_by_another_version_of_the_file_is_refused():
    with pytest.raises(UserError, match="was not judged by"):
        proposals.better(REFERENCE, pullrequests.norms() + b"# x\n", judged_by(pullrequests.norms(), faster()))


def pinned() -> bytes:
    return f"torchwarden:\n  machine: bench-1\n  pin: {PIN}\n".encode() + pullrequests.norms()


def builds(head: str = "torch==2.14.1", base: str = PIN):
    named = {"head": head, "base": base}
    return tuple(msgspec.structs.replace(one, specification=named[one.name]) for one in (verdicts.BASE, verdicts.HEAD))


def test_a_reference_with_a_pinned_build_moves_as_a_whole(server):
    server.state.refs["refs/heads/main"] = server.commit({REFERENCE: pinned()})
    same = verdicts.entry("test_eval[resnet18-cpu-eager]", "unchanged", 0.0012, 0.006, 0.0245)
    change = better(pinned(), faster(against="inductor@base"), same, builds=builds())
    twice(server, change, "created")
    stored = reference.parse(on(server, proposals.branch_of(REFERENCE)), REFERENCE)
    assert stored.header.pin == "torch==2.14.1" and stored.header.run_id == verdicts.verdict().run
    assert stored.tests[same.test].norm == pytest.approx(same.head_seconds)
    assert f"- pin: `{PIN}` → `torch==2.14.1`" in server.state.issues[2]["body"]
    for wrong, words in (
        ({"builds": builds(base="torch==2.12.0")}, "is not against it"),
        ({"builds": builds(head="/usr/bin/python3")}, "cannot be made again elsewhere"),
    ):
        with pytest.raises(UserError, match=words):
            better(pinned(), faster(), **wrong)
    with pytest.raises(UserError, match="1 of 2 tests is worse or not known"):
        better(pinned(), faster(), verdicts.entry(WORSE, "regressed", 0.09), builds=builds())


def accepted(test: str = WORSE, **more) -> Change:
    return proposals.accepting(REFERENCE, verdicts.mixed(), test, **{"reason": "meant", "by": "ada", **more})


def test_an_acceptance_and_a_better_figure_share_one_pull_request(server):
    first = twice(server, accepted(), "created")
    second = twice(server, better(pullrequests.norms(), faster()), "updated")
    assert first.number == second.number and len(server.state.pulls) == 2
    branch = proposals.branch_of(REFERENCE)
    kinds = [item.kind for item in ledger.parse(on(server, branch, LEDGER), LEDGER).items]
    assert kinds == ["accepted", "moved"]
    assert server.state.issues[first.number]["title"] == "Reference smoke/hosted: 1 accepted, 1 new norm"


def test_what_is_open_follows_the_default_branch_and_never_takes_it_back(server):
    twice(server, accepted(), "created")
    main = server.state.refs["refs/heads/main"]
    newer = pullrequests.norms().replace(b"{norm: 0.0245}", b"{norm: 0.0234}") + b"# later\n"
    server.state.refs["refs/heads/main"] = server.commit({REFERENCE: newer, "new.txt": b"n"}, parents=(main,))
    twice(server, accepted("test_eval[timm_mobilenetv3-cpu-eager]"), "updated")
    branch = proposals.branch_of(REFERENCE)
    assert on(server, branch).encode() == newer and on(server, branch, "new.txt") == "n"
    assert len(ledger.parse(on(server, branch, LEDGER), LEDGER).items) == 2


def test_lines_that_people_add_on_the_branch_stay(server):
    twice(server, accepted(reason="first words"), "created")
    branch, client = proposals.branch_of(REFERENCE), connection.client(server)
    mended = on(server, branch, LEDGER).replace("first words", "better words")
    tip = client.commit_files(client.branch(branch), {LEDGER: mended.encode()}, "words")
    client.set_branch(branch, tip)
    twice(server, accepted("test_eval[timm_mobilenetv3-cpu-eager]"), "updated")
    assert "better words" in on(server, branch, LEDGER) and "first words" not in on(server, branch, LEDGER)


def test_what_people_have_closed_is_not_proposed_again_and_what_is_merged_is_done(server):
    posted = twice(server, accepted(), "created")
    server.state.issues[posted.number]["state"] = "closed"
    assert twice(server, accepted(), "declined").number == posted.number
    other = twice(server, accepted(reason="another"), "created")
    assert other.number != posted.number
    server.state.issues[other.number]["state"] = "closed"
    server.state.pulls[other.number]["merged_at"] = "2026-01-03T00:00:00Z"
    server.state.refs["refs/heads/main"] = server.state.refs[f"refs/heads/{proposals.branch_of(REFERENCE)}"]
    assert twice(server, accepted(reason="another"), "nothing").number == 0


def test_each_reference_has_a_branch_of_its_own():
    paths = [
        "reference/smoke/a100.yaml",
        "reference/smoke-a100.yaml",
        "other/smoke/a100.yaml",
        "reference/smoke/a_100.yaml",
    ]
    branches = [proposals.branch_of(path) for path in paths]
    assert len(set(branches)) == len(paths) and branches[0].startswith("torchwarden/reference-smoke-a100-")
    for path in ("../x.yaml", "/etc/x.yaml", "a b.yaml", "$(id).yaml"):
        with pytest.raises(UserError, match="cannot be a path"):
            proposals.branch_of(path)


def test_a_reference_that_is_not_there_and_a_file_that_is_none_are_errors(server):
    with pytest.raises(UserError, match="is not on main"):
        proposals.propose(connection.client(server), Change("reference/none.yaml"))
    server.state.refs["refs/heads/main"] = server.commit({REFERENCE: b"\xff\xfe"})
    with pytest.raises(UserError, match="not UTF-8"):
        proposals.propose(connection.client(server), Change(REFERENCE))
    assert len(server.state.pulls) == 1


def test_a_hostile_reason_and_name_do_nothing_in_the_text(server):
    twice(server, accepted(reason="@octocat <img src=x> | --> [x](http://e.example)", by="a|b`c"), "created")
    body = server.state.issues[max(server.state.issues)]["body"]
    assert "@octocat" not in body and "<img" not in body and "](http" not in body
    assert body.count("-->") == 1, "the marker's own"
