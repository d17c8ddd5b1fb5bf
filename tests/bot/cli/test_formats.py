"""The commands export and import: files whole or not at all, one sentence otherwise, and runs that everything takes."""

from __future__ import annotations

import json
import pathlib

import msgspec
import pytest

from bot.cli import main
from harness import records
from harness.formats import FORMATS
from tests import synthetic
from tests.commandline import contents, one_sentence
from tests.synthetic import Case

A, B, C = (
    f"test_eval[{name}-cpu-{mode}]" for name, mode in (("alexnet", "eager"), ("alexnet", "jit"), ("moco", "eager"))
)
NORMS = f"{A}: {{norm: 0.01}}\n{B}: {{norm: 0.005}}\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    run = synthetic.run([Case(A), Case(B, ratio=0.5), Case(C, status="crash", reason="died")], launches=4, rounds=5)
    synthetic.write(run, tmp_path / "run.jsonl")
    for number, shard in enumerate(synthetic.shards(run, 2)):
        synthetic.write(shard, tmp_path / f"shard{number}.jsonl")
    (tmp_path / "norms.yaml").write_text(NORMS)
    (tmp_path / "a.txt").write_text("not a run")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(capfd: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as end:
        main([str(argument) for argument in arguments])
    out, err = capfd.readouterr()
    return int(end.value.code or 0), out, err


def exported(capfd: pytest.CaptureFixture[str], format: str) -> list[pathlib.Path]:
    code, out, err = call(capfd, "export", format, "run.jsonl", "--out", f"{format}-out")
    assert (code, err) == (0, "")
    files = [path for path in pathlib.Path(f"{format}-out").rglob("*") if path.is_file()]
    assert sorted(line.partition(": ")[0] for line in out.splitlines()) == sorted(map(str, files))
    return [path for path in files if path.parent.name in (f"{format}-out", "test_bench")]


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_exported_can_be_imported_and_judged(format: str, capfd: pytest.CaptureFixture[str]) -> None:
    files = exported(capfd, format)
    code, out, err = call(capfd, "import", format, *files, "--out", "back.jsonl")
    assert (code, err) == (0, "")
    assert out == "back.jsonl: 3 tests (2 pass, 1 crash)\n"
    run = records.read(pathlib.Path("back.jsonl"))
    assert run.complete
    assert {test.test for test in run.tests} == {A, B, C}
    # A test that failed leaves it inconclusive, whatever the others did.
    assert call(capfd, "judge", "back.jsonl", "--reference", "norms.yaml")[0] in (1, 3)
    code, out, _ = call(capfd, "judge", "back.jsonl", "--out", "v.json", "--to", "comment")
    assert code == 3
    assert "torchwarden run" not in out
    assert call(capfd, "report", "v.json", "--to", "html")[0] == 0
    assert call(capfd, "score", "back.jsonl", "--reference", "norms.yaml")[0] == 0
    assert call(capfd, "compare", "run.jsonl", "back.jsonl")[0] in (0, 1, 3)
    assert call(capfd, "export", format, "back.jsonl", "--out", "again")[0] == 0


def test_the_exported_pytest_benchmark_json_has_the_score_of_the_run(capfd: pytest.CaptureFixture[str]) -> None:
    (file,) = exported(capfd, "pytest-benchmark")
    call(capfd, "import", "pytest-benchmark", file, "--out", "back.jsonl")

    def score(path: object, *options: str) -> dict[str, float]:
        code, out, err = call(capfd, "score", path, "--reference", "norms.yaml", "--json", *options)
        assert code == 0
        assert err == "" or "no interval" in err
        found: dict[str, float] = json.loads(out)
        return found

    # V1 takes plain means of all samples; the everyday score takes medians by launch, which the JSON does not hold.
    assert score("run.jsonl", "--strict-v1") == score(file, "--strict-v1") == score("back.jsonl", "--strict-v1")
    assert score("run.jsonl") == score("back.jsonl")
    assert score(file)["total"] == pytest.approx(score("run.jsonl")["total"], rel=0.05)


def test_shards_are_exported_as_one_run(capfd: pytest.CaptureFixture[str]) -> None:
    assert call(capfd, "export", "target-lines", "shard0.jsonl", "shard1.jsonl", "--out", "o")[0] == 0
    assert call(capfd, "export", "target-lines", "run.jsonl", "--out", "p")[0] == 0
    assert contents(pathlib.Path("o")).keys() == contents(pathlib.Path("p")).keys()


def test_upload_options_reach_the_records(capfd: pytest.CaptureFixture[str]) -> None:
    options = ("--repo", "pytorch/pytorch", "--sha", "a" * 40, "--workflow-id", 7, "--runner", "linux.aws.a100")
    assert call(capfd, "export", "hud-v3", "run.jsonl", "--out", "o", *options)[0] == 0
    record = json.loads(pathlib.Path("o/hud-v3.json").read_text().splitlines()[0])
    assert (record["repo"], record["head_sha"], record["workflow_id"]) == ("pytorch/pytorch", "a" * 40, 7)
    assert record["runners"][0]["extra_info"]["label"] == "linux.aws.a100"


ROWS: dict[str, tuple[list[str], list[str]]] = {
    "unknown format": (["export", "xml", "run.jsonl", "--out", "o"], ["no format 'xml'"]),
    "unknown format to import": (
        ["import", "dynamo", "a.txt", "--out", "n.jsonl"],
        ["no format 'dynamo'", "dynamo-csv"],
    ),
    "no folder": (["export", "hud-v3", "run.jsonl"], ["--out"]),
    "a folder that is a file": (["export", "hud-v3", "run.jsonl", "--out", "a.txt"], ["a.txt is not a folder"]),
    "a folder below a file": (["export", "hud-v3", "run.jsonl", "--out", "a.txt/x"], ["cannot be written"]),
    "export what is no run": (["export", "hud-v3", "a.txt", "--out", "o"], ["a.txt, line 1"]),
    "export what is not there": (["export", "hud-v3", "none.jsonl", "--out", "o"], ["none.jsonl cannot be read"]),
    "import over a file": (["import", "convnet", "a.txt", "--out", "run.jsonl"], ["run.jsonl exists", "name another"]),
    "import into no folder": (["import", "convnet", "a.txt", "--out", "no/n.jsonl"], ["no/n.jsonl cannot be written"]),
    "import what is not there": (["import", "convnet", "none", "--out", "n.jsonl"], ["none: cannot be read"]),
    "import a folder": (["import", "convnet", ".", "--out", "n.jsonl"], ["cannot be read"]),
    "import a file twice": (["import", "convnet", "a.txt", "a.txt", "--out", "n.jsonl"], ["a.txt is named twice"]),
} | {
    f"import a foreign file as {format}": (["import", format, "a.txt", "--out", "n.jsonl"], ["a.txt"])
    for format in FORMATS
}


@pytest.mark.parametrize("row", ROWS)
def test_one_sentence_exit_code_2_and_nothing_written(
    row: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, words = ROWS[row]
    before = contents(folder)
    code, out, err = call(capfd, *arguments)
    sentence = one_sentence(err)
    assert (code, out) == (2, "")
    for word in words:
        assert word in sentence
    assert contents(folder) == before
    assert not (folder / "o").exists()


def test_nothing_is_overwritten_and_nothing_is_half_written(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    files = exported(capfd, "dynamo-csv")
    # One of the files is there already: the others are not written either.
    for path in files[1:]:
        path.unlink()
    files[0].write_text("mine")
    before = contents(folder)
    code, _, err = call(capfd, "export", "dynamo-csv", "run.jsonl", "--out", "dynamo-csv-out")
    assert code == 2
    assert f"{files[0]} exists already; name another folder" in one_sentence(err)
    assert contents(folder) == before


def test_a_disk_that_is_full_leaves_nothing(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = contents(folder)
    written = []

    def full(path: pathlib.Path, data: bytes) -> int:
        written.append(path)
        if len(written) > 1:
            raise OSError(28, "No space left on device")
        with path.open("wb") as file:
            return file.write(data)

    monkeypatch.setattr(pathlib.Path, "write_bytes", full)
    code, _, err = call(capfd, "export", "dynamo-csv", "run.jsonl", "--out", "o")
    assert code == 2
    assert "No space left" in one_sentence(err)
    assert contents(folder) == before
    assert not (folder / "o").exists()


def test_a_run_with_a_hostile_suite_or_mode_stays_in_the_folder(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = synthetic.run([Case("test_eval[a-cpu-eager]")])
    (test,) = run.tests
    up = "../../up"
    lanes = tuple(msgspec.structs.replace(lane, mode=up) for lane in test.lanes)
    bad = msgspec.structs.replace(test, suite=up, mode=up, device="/etc", benchmark="../up\n=1+1", lanes=lanes)
    synthetic.write(records.Run(header=run.header, tests=(bad,), footers=run.footers), folder / "bad.jsonl")
    before = contents(folder)
    for format in FORMATS:
        code, _, _ = call(capfd, "export", format, "bad.jsonl", "--out", f"x/{format}")
        assert code in (0, 2)
    assert {name for name in contents(folder) if not name.startswith("x/")} == set(before)
    assert all(name.isascii() and ".." not in name for name in contents(folder))


def test_a_file_that_is_too_large_is_refused(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bot.cli.commands.import_.MAX_BYTES", 2**20)
    with (folder / "large.txt").open("wb") as file:
        file.truncate(2**20 + 1)
    code, _, err = call(capfd, "import", "convnet", "large.txt", "--out", "n.jsonl")
    assert code == 2
    assert "large.txt: is larger than 1 MiB" in one_sentence(err)


def test_the_help_names_all_formats(capfd: pytest.CaptureFixture[str]) -> None:
    for command in ("export", "import"):
        _, out, _ = call(capfd, command, "--help")
        shown = " ".join(out.split())
        for format in FORMATS:
            assert format in shown
