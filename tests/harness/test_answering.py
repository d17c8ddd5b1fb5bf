import json

import numpy as np
import pytest

from harness import answering
from harness.errors import UserError
from tests import sessions

SUITE = str(sessions.SUITES / "answering.py")
MODES = ("eager", "eager_bf16")
SHAPES = {"a": [2, 2], "none": [0, 4], "one": []}


def test_pairs_come_with_a_reason_where_they_cannot_be_had(tmp_path):
    pytest.importorskip("torch")
    groups = sessions.select(suites=(SUITE,), modes=MODES, only="vectors|misdeclared|restless")
    session = sessions.make(tmp_path, groups, nurseries=1)
    pairs = {pair.group.description.name: pair for pair in answering.ask(session, *MODES, {})}
    assert pairs["vectors"].base.labels[1] == "two"
    assert pairs["vectors"].base.tensors["embeddings"].shape == (6, 32)
    assert "eager: ValueError: logits are a matrix" in pairs["misdeclared"].reason
    assert pairs["restless"].reason == "the two lanes were not given the same inputs and weights"
    assert not any(pair.skipped for pair in pairs.values())
    assert sessions.leftovers(session) == []


def test_weights_are_found_by_the_name_of_the_model(tmp_path):
    groups = sessions.select(suites=(SUITE,), modes=MODES, only="classes|anything")
    (tmp_path / "anything.pt").write_bytes(b"")
    (tmp_path / "classes.pt").write_bytes(b"")
    (tmp_path / "classes.safetensors").write_bytes(b"")
    found = answering.find_weights(tmp_path, groups)
    assert {name.split("/")[2]: path.name for name, path in found.items()} == {
        "anything": "anything.pt",
        "classes": "classes.safetensors",
    }
    assert answering.find_weights(None, groups) == {}
    one = sessions.select(suites=(SUITE,), modes=MODES, only="anything")
    assert [path.name for path in answering.find_weights(tmp_path / "classes.pt", one).values()] == ["classes.pt"]
    with pytest.raises(UserError, match="weights of one model, and 3 are selected"):
        answering.find_weights(tmp_path / "classes.pt", groups)
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="has no weights of a selected model"):
        answering.find_weights(tmp_path / "empty", groups)


@pytest.mark.parametrize(
    ("listed", "content"),
    [
        ([{"name": "a", "shape": [3], "spacing": 0}], b"\0" * 8),
        ([{"name": "a", "shape": [1], "spacing": 0}], b"\0" * 8),
        ([{"name": "a", "shape": [-1], "spacing": 0}], b""),
        ([{"name": "a", "shape": [10**12], "spacing": 0}], b""),
    ],
)
def test_a_file_that_does_not_hold_what_it_says_is_refused(tmp_path, listed, content):
    path = tmp_path / "answers"
    path.write_bytes(json.dumps(listed).encode() + b"\n" + content)
    with pytest.raises(ValueError, match="than it says"):
        answering.read(path)


def test_tensors_are_read_as_they_were_written(tmp_path):
    path = tmp_path / "answers"
    listed = [{"name": name, "shape": shape, "spacing": 0.5} for name, shape in SHAPES.items()]
    path.write_bytes(json.dumps(listed).encode() + b"\n" + np.arange(5, dtype="<f4").tobytes())
    found, spacings = answering.read(path)
    assert spacings == {"a": 0.5, "none": 0.5, "one": 0.5}
    assert found["a"].tolist() == [[0, 1], [2, 3]]
    assert found["none"].shape == (0, 4) and found["one"] == 4
