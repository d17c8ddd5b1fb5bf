"""What a user can get wrong: one sentence, exit code 2, and no file that was not there before."""

from __future__ import annotations

import json
import os
import pathlib
import subprocess
import sys

import pytest

from bot.cli import main
from tests import synthetic
from tests.commandline import COMMANDS, contents, one_sentence, torchwarden
from tests.synthetic import Case

TEST = "test_eval[dlrm-cpu-eager]"
A, B = "test_eval[a-cpu-eager]", "test_eval[b-cpu-eager]"
PASSED = synthetic.run([Case(A), Case(B)], launches=6, rounds=4)

YAMLS = {
    "list.yaml": "- norm: 1\n",
    "zero.yaml": f"{A}: {{norm: 0}}\n",
    "negative.yaml": f"{A}: {{norm: -1.5}}\n",
    "nan.yaml": f"{A}: {{norm: .nan}}\n",
    "text.yaml": f"{A}: {{norm: fast}}\n",
    "twice.yaml": f"{A}: {{norm: 1.0}}\n{A}: {{norm: 2.0}}\n",
}


@pytest.fixture
def folder(tmp_path: pathlib.Path, monkeypatch: pytest.MonkeyPatch) -> pathlib.Path:
    """A folder with good and bad files in it, which is the working folder and the home folder."""
    synthetic.write(PASSED, tmp_path / "good.jsonl")
    good = (tmp_path / "good.jsonl").read_bytes()
    (tmp_path / "empty.jsonl").write_bytes(b"")
    (tmp_path / "truncated.jsonl").write_bytes(good[:300])
    (tmp_path / "foreign.jsonl").write_text('{"hello": "world"}\n')
    (tmp_path / "binary.jsonl").write_bytes(bytes(range(256)))
    first = synthetic.shards(PASSED, 2)[0]
    synthetic.write(first, tmp_path / "shard1.jsonl")
    other = synthetic.run([Case(A), Case(B)], launches=6, rounds=4, seed=7)
    synthetic.write(synthetic.shards(other, 2)[1], tmp_path / "other2.jsonl")
    failed = synthetic.run([Case(A), Case(B, status="crash", reason="it died")], launches=6, rounds=4)
    synthetic.write(failed, tmp_path / "failed.jsonl")
    unsure = synthetic.run([Case(A), Case(B, status="inconclusive", reason="no time")], launches=6, rounds=4)
    synthetic.write(unsure, tmp_path / "inconclusive.jsonl")
    synthetic.write(synthetic.run([Case(A)], planned=[B], ended=False), tmp_path / "killed.jsonl")
    for name, text in YAMLS.items():
        (tmp_path / name).write_text(text)
    (tmp_path / "good.yaml").write_text(f"{A}: {{norm: 0.01}}\n")
    (tmp_path / "a.txt").write_text("not a program")
    (tmp_path / "broken_suite.py").write_text("import no_such_module_anywhere\n")
    (tmp_path / "empty_suite.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    return tmp_path


RUN = ["run", "--out", "new.jsonl", "--nurseries", "1"]
SHORT = [*RUN, "--only", TEST]

ROWS: dict[str, tuple[list[str], list[str]]] = {
    "unknown command": (["rum"], ["rum", "--help"]),
    "unknown option": (["list", "--colour"], ["--colour", "list --help"]),
    "unknown suite": ([*RUN, "--suite", "smok"], ["no suite 'smok'", "smoke"]),
    "no such suite file": ([*RUN, "--suite", "mine.py"], ["no suite file mine.py"]),
    "suite that does not load": ([*RUN, "--suite", "broken_suite.py"], ["broken_suite.py", "no_such_module_anywhere"]),
    "suite without a benchmark": ([*RUN, "--suite", "empty_suite.py"], ["empty_suite.py", "no benchmark"]),
    "unknown test": ([*RUN, "--only", "resnet1800"], ["no test", "resnet1800", "torchwarden list"]),
    "unknown test in list": (["list", "--only", "resnet1800"], ["no test", "resnet1800"]),
    "not a regex": ([*RUN, "--only", "("], ["--only '('", "regular expression"]),
    "not a regex in list": (["list", "--only", "("], ["--only '('", "regular expression"]),
    "unknown mode": ([*RUN, "--modes", "eager,warp"], ["no mode 'warp'", "eager"]),
    "unknown mode in list": (["list", "--modes", "warp"], ["no mode 'warp'"]),
    "empty mode": ([*RUN, "--modes", "eager,"], ["--modes", "empty"]),
    "unknown type": ([*RUN, "--type", "dance"], ["no type 'dance'"]),
    "unknown device": ([*RUN, "--device", "tpu"], ["no device 'tpu'", "cpu"]),
    "unknown list": ([*RUN, "--suite", "timm", "--list", "curent"], ["no list 'curent'", "current"]),
    "unknown list in list": (["list", "--list", "2026"], ["no list '2026'", "2025"]),
    "model of another list": ([*RUN, "--suite", "timm", "--only", "cait_m36"], ["no test of timm", "--list all"]),
    "model of another list in list": (["list", "--suite", "timm", "--only", "cait"], ["no test of timm", "--list all"]),
    "unknown size": ([*RUN, "--size", "huge"], ["no size 'huge'", "small"]),
    "unknown build": ([*SHORT, "--head", "/no/such/python"], ["no build '/no/such/python'", "torch==2.13.0"]),
    "unknown base": ([*SHORT, "--base", "old=/no/such/python"], ["no build '/no/such/python'"]),
    "build that is no program": ([*SHORT, "--head", "a.txt"], ["a.txt cannot be run"]),
    "build that is no Python": ([*SHORT, "--head", "/bin/true"], ["/bin/true", "not behave as a Python"]),
    "build with a bad name": ([*SHORT, "--head", "a b=current"], ["'a b' cannot name a build"]),
    "a variable without a value": ([*SHORT, "--ab-env", "FOO"], ["'FOO'", "NAME=VALUE"]),
    "a variable twice": ([*SHORT, "--ab-env", "A=1", "--ab-env", "A=2"], ["A twice"]),
    "a variable of ours": ([*SHORT, "--ab-env", "PYTHONPATH=/x"], ["PYTHONPATH"]),
    "a variable and a base": ([*SHORT, "--ab-env", "A=1", "--base", "old=current"], ["leave --base out"]),
    "two builds of a name": ([*SHORT, "--base", "head=current"], ["both named 'head'"]),
    "no budget": ([*SHORT, "--budget", "0"], ["--budget '0'", "out of range"]),
    "no budget, with unit": ([*SHORT, "--budget", "0s"], ["--budget '0s'"]),
    "negative budget": ([*SHORT, "--budget=-5s"], ["--budget '-5s'", "out of range"]),
    "NaN budget": ([*SHORT, "--budget", "nan"], ["--budget 'nan'", "not a duration"]),
    "no time per step": ([*SHORT, "--step-timeout", "0"], ["--step-timeout '0'"]),
    "ambiguous precision": ([*SHORT, "--precision", "0.01"], ["--precision '0.01'", "1%"]),
    "no threshold": ([*SHORT, "--threshold", "0%"], ["--threshold '0%'", "out of range"]),
    "more threads than cores": ([*SHORT, "--threads", "99999"], ["99999 threads", "do not fit"]),
    "no threads": ([*SHORT, "--threads", "0"], ["0 threads", "--threads 1"]),
    "threads in words": ([*SHORT, "--threads", "two"], ["--threads", "integer"]),
    "no such CPU": ([*SHORT, "--cpus", "99999"], ["CPU 99999"]),
    "CPUs in words": ([*SHORT, "--cpus", "first"], ["--cpus 'first'", "4-7"]),
    "unknown preset": ([*SHORT, "--cpu-preset", "all-cores"], ["no CPU preset 'all-cores'", "physical-cores"]),
    "preset and threads": ([*SHORT, "--cpu-preset", "single-core", "--threads", "1"], ["--cpu-preset", "--threads"]),
    "preset and CPUs": ([*SHORT, "--cpu-preset", "numa-node", "--cpus", "0"], ["--cpu-preset", "--cpus"]),
    "unknown layout": ([*SHORT, "--layout", "convnets"], ["no layout 'convnets'", "convnet"]),
    "unknown allocator": ([*SHORT, "--allocator", "malloc"], ["no allocator 'malloc'", "keep"]),
    "unknown code pages": ([*SHORT, "--code-pages", "mine"], ["no kind of code pages 'mine'", "auto, own, shared"]),
    "no nurseries": ([*SHORT, "--nurseries", "0"], ["--nurseries", "1"]),
    "output in no folder": (["run", "--only", TEST, "--out", "no/where.jsonl"], ["no/where.jsonl cannot be written"]),
    "output below a file": (["run", "--only", TEST, "--out", "a.txt/x.jsonl"], ["a.txt/x.jsonl cannot be written"]),
    "output is a folder": (["run", "--only", TEST, "--out", "."], ["is a folder"]),
    "output exists": (["run", "--only", TEST, "--out", "good.jsonl"], ["good.jsonl exists already", "--resume"]),
    "resume what": (["run", "--only", TEST, "--resume"], ["--resume needs --out"]),
    "resume another plan": (["run", "--only", TEST, "--resume", "--out", "good.jsonl"], ["good.jsonl", "other builds"]),
    "folder is a file": (["bench", "--only", TEST, "--out-dir", "a.txt"], ["a.txt is not a folder"]),
    "folder below a file": (["bench", "--only", TEST, "--out-dir", "a.txt/b"], ["cannot be written"]),
    "bench, unknown policy": (["bench", "--only", TEST, "--policy", "v9"], ["no policy 'v9'", "v1"]),
    "bench, bad reference": (["bench", "--only", TEST, "--reference", "zero.yaml"], ["zero.yaml", "positive"]),
    "calibrate, no test": (["calibrate", "--only", "nothing"], ["no test", "nothing"]),
    "injection without amount": ([*SHORT, "--inject", TEST], ["'TEST=10%'"]),
    "injection without percent": ([*SHORT, "--inject", f"{TEST}=10"], ["'TEST=10%'", "percent"]),
    "injection of nothing": ([*SHORT, "--inject", f"{TEST}=0%"], ["between 0.1 % and 1000 %"]),
    "injection elsewhere": ([*SHORT, "--inject", "test_eval[x-cpu-eager]=9%"], ["no test 'test_eval[x-cpu-eager]'"]),
    "judge nothing": (["judge"], ["name the run file"]),
    "judge what is not there": (["judge", "none.jsonl", "--out", "v.json"], ["none.jsonl cannot be read"]),
    "judge an empty file": (["judge", "empty.jsonl", "--out", "v.json"], ["empty.jsonl is empty"]),
    "judge a truncated file": (["judge", "truncated.jsonl", "--out", "v.json"], ["truncated.jsonl, line 1", "cut off"]),
    "judge a foreign file": (["judge", "foreign.jsonl", "--out", "v.json"], ["foreign.jsonl, line 1"]),
    "judge a binary file": (["judge", "binary.jsonl", "--out", "v.json"], ["binary.jsonl, line 1"]),
    "shards that disagree": (["judge", "shard1.jsonl", "other2.jsonl"], ["other2.jsonl disagrees", "the plan's seed"]),
    "a shard twice": (["judge", "shard1.jsonl", "shard1.jsonl"], ["another shard holds too"]),
    "judge to where": (["judge", "good.jsonl", "--out", "no/v.json"], ["no/v.json cannot be written"]),
    "unknown policy": (["judge", "good.jsonl", "--policy", "v9", "--out", "v.json"], ["no policy 'v9'"]),
    "unknown report": (["judge", "good.jsonl", "--to", "pdf"], ["no kind of report 'pdf'"]),
    "score threshold": (["judge", "good.jsonl", "--score-threshold", "1"], ["--score-threshold '1'"]),
    "false discoveries": (["judge", "good.jsonl", "--fdr", "100%"], ["--fdr '100%'"]),
    "verify a run": (["judge", "--verify", "good.jsonl"], ["good.jsonl", "not a verdict"]),
    "report a run": (["report", "good.jsonl", "--to", "comment"], ["good.jsonl", "not a verdict"]),
    "no reference there": (["reference", "show", "none.yaml"], ["none.yaml"]),
    "reference from a failed run": (["reference", "update", "failed.jsonl", "--reference", "n.yaml"], [B, "crash"]),
    "reference from an unsure run": (["reference", "update", "inconclusive.jsonl", "--reference", "n.yaml"], [B]),
    "reference from a killed run": (["reference", "update", "killed.jsonl", "--reference", "n.yaml"], [B, "--resume"]),
    "reference of no lane": (["reference", "update", "good.jsonl", "--reference", "n.yaml", "--lane", "x"], ["'x'"]),
    "reference to where": (["reference", "update", "good.jsonl", "--reference", "no/n.yaml"], ["no/n.yaml cannot be"]),
    "score a foreign file": (["score", "foreign.jsonl", "--reference", "good.yaml"], ["foreign.jsonl"]),
    "score an empty file": (["score", "empty.jsonl", "--reference", "good.yaml"], ["empty.jsonl is empty"]),
    "score a truncated run": (["score", "truncated.jsonl", "--reference", "good.yaml"], ["truncated.jsonl, line 1"]),
    "score without norms": (["score", "good.jsonl"], ["--reference"]),
    "compare one": (["compare", "good.jsonl"], ["two run files"]),
    "unknown schema": (["schema", "comment"], ["no schema 'comment'", "verdict"]),
} | {
    f"{command[0]} with {name}": ([*command, *(["--reference"] if command[0] != "reference" else []), name], [name])
    for name in YAMLS
    for command in (["judge", "good.jsonl", "--out", "v.json"], ["score", "good.jsonl"], ["reference", "show"])
}


@pytest.mark.parametrize("row", ROWS)
def test_one_sentence_exit_code_2_and_nothing_written(
    row: str, folder: pathlib.Path, capfd: pytest.CaptureFixture[str]
) -> None:
    arguments, words = ROWS[row]
    before = contents(folder)
    with pytest.raises(SystemExit) as end:
        main(arguments)
    seen = capfd.readouterr()
    sentence = one_sentence(seen.err)
    assert end.value.code == 2
    assert seen.out == ""
    for word in words:
        assert word in sentence
    assert contents(folder) == before


def test_an_interpreter_without_torch(folder: pathlib.Path, capfd: pytest.CaptureFixture[str]) -> None:
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "bare")], check=True)
    before = contents(folder)
    with pytest.raises(SystemExit) as end:
        main([*SHORT, "--base", "current", "--head", f"new={folder / 'bare/bin/python'}"])
    assert end.value.code == 2
    sentence = one_sentence(capfd.readouterr().err)
    assert "bare/bin/python has no working torch" in sentence
    assert "install torch" in sentence
    assert contents(folder) == before


@pytest.mark.slow
def test_a_run_that_cannot_begin_leaves_no_file(folder: pathlib.Path) -> None:
    """What a suite needs is first known to be missing when its processes start, after the run file was opened."""
    (folder / "needy.py").write_text(
        "from harness.benchmark import benchmark\n"
        "@benchmark('needy', category='OTHER', domain='OTHER_TASKS', sizes={'small': {}}, needs=('no_such_package',))\n"
        "def needy(request): ...\n"
    )
    before = contents(folder)
    done = torchwarden(*RUN, "--suite", "needy.py", cwd=folder)
    assert done.returncode == 2
    assert "no_such_package" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
    assert {name for name in contents(folder) if "__pycache__" not in name} == set(before)


def test_a_defect_is_one_sentence_and_its_traceback_goes_into_a_file(
    folder: pathlib.Path, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    import bot.verdict

    def broken(path: object) -> None:
        raise ZeroDivisionError("a defect")

    monkeypatch.setattr(bot.verdict, "read", broken)
    monkeypatch.setattr("tempfile.tempdir", str(folder))
    with pytest.raises(SystemExit) as end:
        main(["report", "good.jsonl"])
    assert end.value.code == 70
    sentence = one_sentence(capfd.readouterr().err)
    assert "ZeroDivisionError" in sentence and "report it" in sentence
    (kept,) = folder.glob("torchwarden-*.txt")
    assert kept.name in sentence
    assert "a defect" in kept.read_text()


def test_nobody_reading_is_quiet_and_no_pass(tmp_path: pathlib.Path) -> None:
    """As in `torchwarden schema run | head -0`: quiet, yet not an exit code that means a pass."""
    from tests.commandline import environment

    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "bot.cli", "schema", "verdict"],
            cwd=tmp_path,
            env=environment(tmp_path),
            stdout=writer,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    finally:
        os.close(writer)
    assert done.stderr == ""
    assert done.returncode == 141


def test_all_commands_are_in_the_main_help(capfd: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main(["--help"])
    shown = capfd.readouterr().out
    assert not end.value.code
    for command in COMMANDS:
        assert f"\n  {command} " in shown
    for code in ("0 ", "1 ", "2 ", "3 ", "70 ", "130 ", "141 "):
        assert f"\n    {code}" in shown


def test_schemas_are_valid(capfd: pytest.CaptureFixture[str]) -> None:
    import jsonschema

    for which in ("run", "verdict"):
        with pytest.raises(SystemExit):
            main(["schema", which])
        jsonschema.Draft202012Validator.check_schema(json.loads(capfd.readouterr().out))
