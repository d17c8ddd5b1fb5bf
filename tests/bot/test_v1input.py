from __future__ import annotations

import json
import math
from pathlib import Path

import pytest

from bot import v1input
from harness.errors import UserError


def write(folder: Path, document: object) -> Path:
    path = folder / "input.json"
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    return path


def test_both_inputs_of_v1_are_read(tmp_path: Path) -> None:
    names = {"test_eval[resnet18-cpu-eager]": 0.01, "test_worker": 1.0}
    benchmarks = [{"name": n, "stats": {"mean": s, "ops": math.inf}, "extra_info": {}} for n, s in names.items()]
    assert v1input.load(write(tmp_path, {"machine_info": {}, "benchmarks": benchmarks})) == names
    assert v1input.load(write(tmp_path, {n: {"norm": s} for n, s in names.items()})) == names


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ("", "line 1 is not JSON"),
        ('{"a": \n', "line 2 is not JSON"),
        ("[1]", "not a JSON object"),
        ("[" * 100_000, "not a JSON file"),
        ("{}", "holds no test"),
        ({"benchmarks": []}, "holds no test"),
        ({"benchmarks": {}}, "benchmarks is not a list"),
        ({"benchmarks": [{"name": 1}]}, r"benchmarks\[0\].name"),
        ({"benchmarks": [7]}, r"benchmarks\[0\].name"),
        (
            {"benchmarks": [{"name": "a", "stats": {"mean": 1}}, {"name": "b", "stats": {}}]},
            r"benchmarks\[1\].stats.mean",
        ),
        ({"benchmarks": [{"name": "a", "stats": {"mean": 1}}] * 2}, "'a' stands more than once"),
        ('{"a": {"norm": 1}, "a": {"norm": 2}}', "'a' stands more than once"),
        ({"a": 1}, "'a'.norm is missing"),
        ({"a": {"norm": "1"}}, "'a'.norm is '1'"),
        ({"a": {"norm": True}}, "'a'.norm is True"),
        ('{"a": {"norm": NaN}}', "'a'.norm is nan"),
        ({"benchmarks": [{"name": "a", "stats": {"mean": 0}}]}, r"benchmarks\[0\].stats.mean of 'a' is 0"),
    ],
)
def test_bad_input_names_file_and_field(tmp_path: Path, document: object, words: str) -> None:
    path = write(tmp_path, document)
    with pytest.raises(UserError, match=words) as caught:
        v1input.load(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_input_that_cannot_be_read(tmp_path: Path) -> None:
    for path in (tmp_path / "absent.json", tmp_path):
        with pytest.raises(UserError, match="cannot be read"):
            v1input.load(path)
    binary = tmp_path / "binary.json"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="line 1: is not UTF-8 text"):
        v1input.load(binary)
