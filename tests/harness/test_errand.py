import pytest

from harness import errand
from harness.pool import WorkerError
from harness.session import opened
from tests import sessions

pytest.importorskip("torch")


def test_a_worker_comes_back_with_its_task_and_a_file(tmp_path):
    session = sessions.make(tmp_path, only="perceptron", nurseries=1)
    (group,) = session.groups
    with opened(session, session.groups) as pool:
        sent = errand.Errand(group, "eager", "profile", "found.json", {"steps": 2})
        told, path = errand.run(sent, pool, session.plan)
        assert told["step_seconds"] > 0
        assert path.is_relative_to(session.folder) and b"aten::addmm" in path.read_bytes()
        with pytest.raises(WorkerError, match="gardening"):
            errand.run(errand.Errand(group, "eager", "gardening", "x", {}), pool, session.plan)
    assert sessions.leftovers(session) == []
