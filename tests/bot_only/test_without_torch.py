"""What a hosted runner has: the bot and its base install, no torch. `make test-bot` makes such an environment."""

from __future__ import annotations

import importlib.util
import json
import pathlib
import pkgutil
import subprocess
import sys

import pytest

from tests import synthetic
from tests.commandline import COMMANDS, contents, environment, one_sentence, torchwarden
from tests.synthetic import Case

if importlib.util.find_spec("torch") is not None:
    pytest.skip("this environment has torch; `make test-bot` has one without", allow_module_level=True)

A, B = "test_eval[alexnet-cpu-eager]", "test_eval[resnet50-cpu-eager]"


@pytest.fixture
def folder(tmp_path: pathlib.Path) -> pathlib.Path:
    synthetic.write(synthetic.run([Case(A, ratio=1.2), Case(B)]), tmp_path / "run.jsonl")
    synthetic.write(synthetic.run([Case(A), Case(B)]), tmp_path / "same.jsonl")
    return tmp_path


def test_torch_is_really_absent() -> None:
    with pytest.raises(ModuleNotFoundError):
        importlib.import_module("torch")


def test_every_module_of_bot_can_be_imported() -> None:
    import bot

    optional = {"altair", "vl_convert"}
    for module in pkgutil.walk_packages(bot.__path__, "bot."):
        if module.name == "bot.cli.__main__":
            continue
        try:
            importlib.import_module(module.name)
        except ModuleNotFoundError as error:
            assert error.name in optional, f"{module.name} needs {error.name}"
    assert "torch" not in sys.modules


@pytest.mark.parametrize("command", ["", *COMMANDS])
def test_help(command: str, tmp_path: pathlib.Path) -> None:
    done = torchwarden(*command.split(), "--help", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Usage:" in done.stdout


def test_the_console_script_is_there(tmp_path: pathlib.Path) -> None:
    script = pathlib.Path(sys.executable).with_name("torchwarden")
    if not script.exists():
        pytest.skip("the project is not installed into this environment")
    done = subprocess.run(
        [script, "--version"], cwd=tmp_path, env=environment(tmp_path), capture_output=True, text=True, check=False
    )
    assert done.stdout.startswith("torchwarden ")


def test_list(tmp_path: pathlib.Path) -> None:
    done = torchwarden("list", "--json", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert "test_eval[resnet18-cpu-eager]" in {row["test"] for row in json.loads(done.stdout)}


def test_judge_and_report(folder: pathlib.Path) -> None:
    done = torchwarden("judge", "run.jsonl", "--out", "verdict.json", cwd=folder)
    assert (done.returncode, done.stderr) == (1, "")
    for to in ("terminal", "comment", "summary", "json"):
        done = torchwarden("report", "verdict.json", "--to", to, cwd=folder)
        assert done.returncode == 0, done.stderr
        assert "alexnet" in done.stdout
    assert torchwarden("judge", "--verify", "verdict.json", cwd=folder).returncode == 1


def test_the_page_or_a_sentence_about_what_it_needs(folder: pathlib.Path) -> None:
    torchwarden("judge", "run.jsonl", "--out", "verdict.json", cwd=folder)
    done = torchwarden("report", "verdict.json", "--to", "html", "--out", "page.html", cwd=folder)
    if done.returncode == 0:
        assert "<html" in (folder / "page.html").read_text()
    else:
        assert done.returncode == 2
        assert "site" in one_sentence(done.stderr)
        assert not (folder / "page.html").exists()


def test_reference_score_and_compare(folder: pathlib.Path) -> None:
    done = torchwarden("reference", "update", "same.jsonl", "--reference", "norms.yaml", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert A in torchwarden("reference", "show", "norms.yaml", cwd=folder).stdout
    done = torchwarden("score", "run.jsonl", "--reference", "norms.yaml", "--json", cwd=folder)
    assert json.loads(done.stdout)["total"] < 1000
    assert torchwarden("compare", "same.jsonl", "run.jsonl", cwd=folder).returncode == 1


def test_export_and_import(folder: pathlib.Path) -> None:
    done = torchwarden("export", "dynamo-csv", "run.jsonl", "--out", "csv", cwd=folder)
    assert (done.returncode, done.stderr) == (0, "")
    files = sorted((folder / "csv").iterdir())
    done = torchwarden("import", "dynamo-csv", *files, "--out", "back.jsonl", cwd=folder)
    assert (done.returncode, done.stdout) == (0, "back.jsonl: 2 tests (2 pass)\n")


@pytest.mark.parametrize("command", [("run", "--out", "new.jsonl"), ("bench",), ("calibrate", "--brief")])
def test_measuring_says_that_torch_is_missing(command: tuple[str, ...], folder: pathlib.Path) -> None:
    before = contents(folder)
    done = torchwarden(*command, cwd=folder)
    assert done.returncode == 2
    sentence = one_sentence(done.stderr)
    assert "no working torch" in sentence and "install" in sentence
    assert contents(folder) == before
