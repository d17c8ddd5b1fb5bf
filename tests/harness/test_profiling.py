import pathlib

import pytest

from harness import profiles, profiling
from harness.errors import UserError
from tests import sessions

pytest.importorskip("torch")


def test_a_train_step_is_profiled_with_its_backward_pass_and_leaves_nothing_behind(tmp_path):
    session = sessions.make(tmp_path, types=("train",), only="perceptron", nurseries=1)
    taken = profiling.take(session, 4, tmp_path / "trace.json")
    rows = {row.name: row for row in taken.operators}
    assert "TanhBackward0" in " ".join(rows) and any(name.startswith("Optimizer.step") for name in rows)
    assert taken.test == "test_train[perceptron-cpu-eager]"
    assert 0 < taken.seconds <= sum(taken.steps_seconds) / 4 * 1.01
    assert profiles.decode(profiles.encode(taken).encode(), pathlib.Path("p")) == taken
    assert b"traceEvents" in (tmp_path / "trace.json").read_bytes()
    assert sessions.leftovers(session) == []


def test_a_trace_that_cannot_be_written_is_one_sentence(tmp_path):
    session = sessions.make(tmp_path, only="perceptron", nurseries=1)
    with pytest.raises(UserError, match="--trace"):
        profiling.take(session, 1, tmp_path / "none" / "trace.json")
    assert sessions.leftovers(session) == []
