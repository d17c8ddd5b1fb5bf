"""Evidence on a real test whose head does injected work."""

import pytest

from harness import evidence
from harness.errors import UserError
from tests import sessions

TEST = "test_eval[perceptron-cpu-eager]"


@pytest.fixture
def fewer(monkeypatch):
    pytest.importorskip("torch")
    monkeypatch.setattr(evidence, "PAIRS", 2)


@pytest.mark.usefixtures("fewer")
def test_injected_work_is_in_the_head_and_figures_are_measured_where_no_run_is_given(tmp_path):
    session = sessions.make(tmp_path, only="perceptron", nurseries=1, base=True, inject={TEST: 0.2})
    (found,) = evidence.gather(session, [TEST], limit_seconds=0)
    assert found.test == TEST
    assert found.skipped == {evidence.INSTRUCTIONS: "they were not asked for"}
    sides = (found.base, found.head)
    base, head = ([{one.name: one for one in profile} for profile in side.profiles] for side in sides)
    assert len(base) == len(head) == 2
    assert all("aten::mm" not in profile and "aten::addmm" in profile for profile in base)
    assert all(profile["aten::mm"].calls >= 1 for profile in head)
    assert [side.record.build for side in sides] == ["base", "head"]
    assert all(side.record.launches[0].minor_faults is not None for side in sides)
    assert sessions.leftovers(session) == []


@pytest.mark.usefixtures("fewer")
def test_what_fails_is_a_reason_and_does_not_cost_the_rest(tmp_path, monkeypatch):
    session = sessions.make(tmp_path, only="perceptron", nurseries=1, base=True)
    monkeypatch.setattr(evidence.errand, "run", _refuse)
    (found,) = evidence.gather(session, [TEST], limit_seconds=100)
    assert found.skipped[evidence.PROFILE] == "no such device (fail_to_run)"
    assert "not known" in found.skipped[evidence.INSTRUCTIONS]
    assert found.base.profiles == () and found.base.record is not None


def _refuse(*arguments):
    raise evidence.WorkerError("fail_to_run", "no such device")


def test_what_cannot_be_explained_is_one_sentence(tmp_path):
    pytest.importorskip("torch")
    with pytest.raises(UserError, match="--base"):
        next(evidence.gather(sessions.make(tmp_path, only="perceptron"), [TEST]))
    with pytest.raises(UserError, match="not among the tests"):
        next(evidence.gather(sessions.make(tmp_path, only="perceptron", base=True), ["test_eval[x-cpu-eager]"]))
