"""The run format: what was written is read, whatever happened to the writer; what is not a run is refused by name."""

from __future__ import annotations

import json
import pathlib
import signal
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import jsonschema
import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import records
from harness.errors import UserError
from tests import synthetic
from tests.synthetic import Case

A, B, C, D = (f"test_eval[{name}-cpu-eager]" for name in "abcd")

CASES = [
    Case(A),
    Case("test_train[b-cpu-eager]", ratio=1.1),
    Case("test_train[b-cpu-inductor]"),
    Case(C, status="crash", reason="signal 11", stderr="Segmentation fault\n\N{SNOWMAN}\x1b[0m"),
    Case(D, status="skip", reason="d has no eval step"),
]
RUN = synthetic.run(CASES, launches=3, rounds=4)


@pytest.fixture
def path(tmp_path: pathlib.Path) -> pathlib.Path:
    return synthetic.write(RUN, tmp_path / "run.jsonl")


def edited(path: pathlib.Path, line: int, edit: Callable[[dict[str, Any]], object]) -> pathlib.Path:
    """The file with one line (from 0) changed as JSON."""
    lines = path.read_bytes().splitlines(keepends=True)
    document = json.loads(lines[line])
    edit(document)
    lines[line] = json.dumps(document).encode() + b"\n"
    path.write_bytes(b"".join(lines))
    return path


def refusal(path: pathlib.Path) -> str:
    with pytest.raises(UserError) as caught:
        records.read(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


# Round trip.


def test_what_is_written_is_read(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run.jsonl"
    with records.Writer(path) as writer:
        for line in synthetic.lines(RUN):
            writer.write(line)
    assert records.read(path) == RUN
    assert records.join([path]).tests == RUN.tests
    assert path.read_bytes() == records.encode(synthetic.lines(RUN))


def test_every_line_is_readable_as_soon_as_write_returns(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run.jsonl"
    with records.Writer(path) as writer:
        for count, line in enumerate(synthetic.lines(RUN), start=1):
            writer.write(line)
            assert len(list(records.read_lines(path))) == count


def test_every_line_is_synced(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced = []
    monkeypatch.setattr(records.os, "fsync", synced.append)
    with records.Writer(tmp_path / "run.jsonl") as writer:
        for count, line in enumerate(synthetic.lines(RUN), start=1):
            writer.write(line)
            assert len(synced) == count


def test_a_new_run_does_not_overwrite_one(path: pathlib.Path) -> None:
    before = path.read_bytes()
    with pytest.raises(UserError, match="--resume"):
        records.Writer(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize("name", ["missing/run.jsonl", ""])
def test_a_place_that_cannot_be_written_is_named(tmp_path: pathlib.Path, name: str) -> None:
    with pytest.raises(UserError, match=str(tmp_path)):
        records.Writer(tmp_path / name, append=True)


def test_every_encoded_line_satisfies_the_exported_schema() -> None:
    schema = records.json_schema()
    validator = jsonschema.validators.validator_for(schema)
    assert validator is jsonschema.Draft202012Validator
    validator.check_schema(schema)
    for line in records.encode(synthetic.lines(RUN)).splitlines():
        validator(schema).validate(json.loads(line))


@pytest.mark.parametrize(
    "edit",
    [
        lambda line: line.update(extra=1),
        lambda line: line.update(status="passed"),
        lambda line: line.update(record="note"),
        lambda line: line.pop("test"),
        lambda line: line["lanes"][0]["launches"][0].update(seconds=[0.1, -0.1]),
    ],
)
def test_the_schema_refuses_what_the_reader_refuses(path: pathlib.Path, edit: Callable[[Any], object]) -> None:
    edited(path, 1, edit)
    refusal(path)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(json.loads(path.read_bytes().splitlines()[1]), records.json_schema())


# A writer that was killed.


def test_every_cut_of_a_file_is_a_shorter_run_or_is_refused(path: pathlib.Path) -> None:
    whole = path.read_bytes()
    header_end = whole.index(b"\n") + 1
    for cut in {1, header_end - 1, header_end, header_end + 1, len(whole) - 1, *range(header_end, len(whole), 997)}:
        path.write_bytes(whole[:cut])
        if cut < header_end:
            assert "line 1" in refusal(path)
            continue
        run = records.read(path)
        assert run.tests == RUN.tests[: max(whole[:cut].count(b"\n") - 1, 0)]
        assert not run.complete


def test_a_torn_end_is_refused_where_asked(path: pathlib.Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"line {len(RUN.tests) + 2}.*cut off"):
        list(records.read_lines(path, tolerate_torn_end=False))


@pytest.mark.parametrize("cut", [1, 50, 100_000])
def test_resume_appends_after_repair(tmp_path: pathlib.Path, cut: int) -> None:
    whole = synthetic.run([Case(A), Case(B)], launches=12, rounds=600)
    path = synthetic.write(whole, tmp_path / "run.jsonl")
    first, second = (len(records.encode([line])) for line in (whole.header, whole.tests[0]))
    path.write_bytes(path.read_bytes()[: first + second + cut])
    assert records.missing_tail(path) == cut
    records.repair(path)
    assert records.missing_tail(path) == 0
    with records.Writer(path, append=True) as writer:
        writer.write(whole.tests[1])
        writer.write(whole.footers[0])
    assert records.read(path) == whole
    assert records.read(path).complete


def test_repair_leaves_a_sound_file_alone(path: pathlib.Path) -> None:
    before = path.read_bytes()
    records.repair(path)
    assert path.read_bytes() == before


def test_a_test_measured_again_counts_by_its_last_line(tmp_path: pathlib.Path) -> None:
    path = tmp_path / "run.jsonl"
    failed = synthetic.run([Case(A, status="timeout")]).tests[0]
    passed = synthetic.run([Case(A)], launches=2, rounds=2)
    path.write_bytes(records.encode([passed.header, failed, *passed.footers, passed.tests[0], *passed.footers]))
    assert records.read(path).tests == passed.tests
    assert len(records.read(path).footers) == 1


WRITER = """
import itertools, pathlib, sys
import msgspec
from harness import records
from tests import synthetic

run = synthetic.run([synthetic.Case("test_eval[a-cpu-eager]")], launches=6, rounds=200)
with records.Writer(pathlib.Path(sys.argv[1])) as writer:
    writer.write(run.header)
    print("ready", flush=True)
    for number in itertools.count():
        writer.write(msgspec.structs.replace(run.tests[0], test=f"test_eval[m{number}-cpu-eager]"))
        print(number, flush=True)
"""


def test_a_writer_ended_by_sigkill_leaves_every_line_it_reported(tmp_path: pathlib.Path) -> None:
    root = pathlib.Path(__file__).parents[2]
    for attempt in range(3):
        path = tmp_path / f"run{attempt}.jsonl"
        with subprocess.Popen(
            [sys.executable, "-c", WRITER, str(path)], cwd=root, stdout=subprocess.PIPE, text=True
        ) as process:
            assert process.stdout is not None
            reported = [process.stdout.readline() for _ in range(2 + 3 * attempt)]
            process.send_signal(signal.SIGKILL)
            reported += process.stdout.read().splitlines()
        assert process.returncode == -signal.SIGKILL
        accepted = len([line for line in reported if line.strip().isdigit()])
        run = records.read(path)
        assert accepted <= len(run.tests) <= accepted + 1
        assert [test.test for test in run.tests] == [f"test_eval[m{n}-cpu-eager]" for n in range(len(run.tests))]
        records.repair(path)
        with records.Writer(path, append=True) as writer:
            writer.write(RUN.footers[0])
        assert records.read(path).tests == run.tests


# What is not a run.


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\n",
        b"{}\n",
        b"[]\n",
        b"null\n",
        b"not a run\n",
        b"\x00\x01\x02\n",
        b"\xff\xfe{\n",
        b"\x1f\x8b\x08\x00\n",
        b"test_eval[a-cpu-eager]:\n  norm: 0.1\n",
        b'{"benchmarks": [{"name": "test_eval[a-cpu-eager]"}]}\n',
        b"[" * 100_000 + b"\n",
        b'{"record":' * 100_000 + b"\n",
        b'{"record": "header"}\n',
    ],
    ids=range(14),
)
def test_foreign_and_empty_files_are_refused(tmp_path: pathlib.Path, content: bytes) -> None:
    path = tmp_path / "foreign.jsonl"
    path.write_bytes(content)
    message = refusal(path)
    assert str(path) in message
    assert "line 1" in message or not content
    assert len(message) < 1000


def test_a_file_that_is_not_there_or_is_a_folder(tmp_path: pathlib.Path) -> None:
    assert "cannot be read" in refusal(tmp_path / "none.jsonl")
    assert "cannot be read" in refusal(tmp_path)


def test_a_second_header_and_a_missing_first_are_refused(path: pathlib.Path) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole + whole)
    assert f"line {len(RUN.tests) + 3}: a second header" in refusal(path)
    path.write_bytes(whole[whole.index(b"\n") + 1 :])
    assert "line 1: the first line is not a header" in refusal(path)


def test_another_schema_version_is_refused(path: pathlib.Path) -> None:
    edited(path, 0, lambda line: line.update(schema_version=2))
    assert "schema version 2" in refusal(path)


def launch(line: dict[str, Any]) -> dict[str, Any]:
    return line["lanes"][0]["launches"][0]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("line", "edit", "place"),
    [
        (1, lambda line: line.update(mood="good"), "`mood`"),
        (0, lambda line: line["plan"].update(mood="good"), "`mood` - at `$.plan`"),
        (1, lambda line: line.update(status="passed"), "$.status"),
        (1, lambda line: line.pop("group"), "`group`"),
        (1, lambda line: launch(line).update(seconds=[0.1, -0.1]), "$.lanes[0].launches[0].seconds[1]"),
        (1, lambda line: launch(line).update(seconds=[0.0]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(seconds=[float("nan")]), "malformed"),
        (1, lambda line: launch(line).update(seconds=[float("inf")]), "malformed"),
        (1, lambda line: launch(line).update(seconds=[None]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(seconds=["0.1"]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(seconds=[True]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(seconds=[10**400]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(seconds=[1e10]), "$.lanes[0].launches[0].seconds[0]"),
        (1, lambda line: launch(line).update(index=-1), "$.lanes[0].launches[0].index"),
        (1, lambda line: launch(line).update(peak_memory_bytes=10**400), "$.lanes[0].launches[0].peak_memory_bytes"),
        (1, lambda line: line["lanes"][0].update(items=10**30), "$.lanes[0].items"),
        (0, lambda line: line["machine"].update(cores=1.5), "$.machine.cores"),
        (0, lambda line: line["machine"].update(memory_bytes=10**30), "$.machine.memory_bytes"),
        (-1, lambda line: line.update(tests="5"), "$.tests"),
    ],
)
def test_an_error_names_file_line_and_field(
    path: pathlib.Path, line: int, edit: Callable[[dict[str, Any]], object], place: str
) -> None:
    edited(path, line, edit)
    message = refusal(path)
    assert str(path) in message
    assert f"line {line + 1 if line >= 0 else len(RUN.tests) + 2}" in message
    assert place in message


def test_an_overlong_line_is_refused_without_being_held(path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "MAXIMUM_LINE_BYTES", 100)
    assert "line 1: longer than 100 bytes" in refusal(path)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200), st.integers(0, 10_000))
def test_noise_in_a_file_ends_in_a_sentence_or_a_run(tmp_path_factory: Any, noise: bytes, place: int) -> None:
    path = tmp_path_factory.mktemp("noise") / "run.jsonl"
    whole = records.encode(synthetic.lines(RUN))
    place %= len(whole)
    path.write_bytes(whole[:place] + noise + whole[place + len(noise) :])
    try:
        assert isinstance(records.read(path), records.Run)
    except UserError as error:
        assert "\n" not in str(error)


# Shards.


def test_joined_shards_are_the_run(tmp_path: pathlib.Path) -> None:
    paths = [
        synthetic.write(shard, tmp_path / f"{number}.jsonl") for number, shard in enumerate(synthetic.shards(RUN, 3))
    ]
    joined = records.join(paths)
    assert {test.test: test for test in joined.tests} == {test.test: test for test in RUN.tests}
    assert set(joined.header.plan.tests) == set(RUN.header.plan.tests)
    assert joined.complete
    assert joined.shards == 3
    assert joined.header.plan.shard is None


def test_a_shard_that_was_killed_makes_the_whole_incomplete(tmp_path: pathlib.Path) -> None:
    first, second = synthetic.shards(RUN, 2)
    second = msgspec.structs.replace(second, tests=second.tests[:1], footers=())
    joined = records.join([synthetic.write(first, tmp_path / "1.jsonl"), synthetic.write(second, tmp_path / "2.jsonl")])
    assert not joined.complete
    assert joined.missing == (RUN.tests[3].test,)


@pytest.mark.parametrize(
    ("change", "named"),
    [({"seed": 7}, "seed"), ({"threads": 4}, "threads"), ({"base": None}, "base"), ({"suites": ("x",)}, "suites")],
)
def test_shards_that_disagree_on_the_plan_are_refused(
    tmp_path: pathlib.Path, change: dict[str, Any], named: str
) -> None:
    first, second = synthetic.shards(RUN, 2)
    plan = msgspec.structs.replace(second.header.plan, **change)
    second = msgspec.structs.replace(second, header=msgspec.structs.replace(second.header, plan=plan))
    paths = [synthetic.write(first, tmp_path / "1.jsonl"), synthetic.write(second, tmp_path / "2.jsonl")]
    with pytest.raises(UserError, match=f"2.jsonl disagrees with .*1.jsonl on the plan's {named}"):
        records.join(paths)


def test_shards_of_other_builds_are_refused(tmp_path: pathlib.Path) -> None:
    first, second = synthetic.shards(RUN, 2)
    other = msgspec.structs.replace(synthetic.HEAD, fingerprint="other")
    header = msgspec.structs.replace(second.header, builds=(synthetic.BASE, other))
    second = msgspec.structs.replace(second, header=header)
    paths = [synthetic.write(first, tmp_path / "1.jsonl"), synthetic.write(second, tmp_path / "2.jsonl")]
    with pytest.raises(UserError, match="on the builds"):
        records.join(paths)


def test_shards_of_another_machine_are_refused(tmp_path: pathlib.Path) -> None:
    first, second = synthetic.shards(RUN, 2)
    machine = msgspec.structs.replace(synthetic.MACHINE, fingerprint="other")
    second = msgspec.structs.replace(second, header=msgspec.structs.replace(second.header, machine=machine))
    paths = [synthetic.write(first, tmp_path / "1.jsonl"), synthetic.write(second, tmp_path / "2.jsonl")]
    with pytest.raises(UserError, match=f"on the machine .other against {synthetic.MACHINE.fingerprint}"):
        records.join(paths)


def test_the_same_test_in_two_shards_is_refused(tmp_path: pathlib.Path) -> None:
    paths = [synthetic.write(RUN, tmp_path / name) for name in ("1.jsonl", "2.jsonl")]
    with pytest.raises(UserError, match="another shard holds too"):
        records.join(paths)


def test_joining_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="at least one"):
        records.join([])


def test_missing_tests_of_a_plan() -> None:
    run = synthetic.run([Case(A)], planned=[B])
    assert run.missing == (B,)
    assert not run.complete
    assert synthetic.run([Case(A)]).complete
    assert not synthetic.run([Case(A)], ended=False).complete
    assert not synthetic.run([Case(A)], interrupted=True).complete


def test_a_lane_is_found_by_build_and_mode() -> None:
    test = RUN.tests[0]
    assert test.lane("head") is test.lanes[1]
    assert test.lane("head", "inductor") is None
    assert test.lane("other") is None
    assert test.lanes[0].name == "eager@base"
