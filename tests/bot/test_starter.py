from __future__ import annotations

import json
import pathlib
import re
import shutil
import subprocess
import sys

import jsonschema
import pytest
import yaml

from bot import config, starter
from bot.starter import Answers
from harness import __version__
from harness.errors import UserError

ROOT = pathlib.Path(__file__).parents[2]
TEMPLATES = sorted((ROOT / "workflows-templates").glob("*.yml"))
TOOLS = pathlib.Path(sys.executable).parent


def tool(name: str, *arguments: object, folder: pathlib.Path) -> None:
    """Run a linter in a repository; it must have nothing to say."""
    found = shutil.which(name, path=str(TOOLS))
    if found is None:
        pytest.skip(f"{name} is not installed")
    path = {"PATH": f"{TOOLS}:/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run([found, *map(str, arguments)], cwd=folder, env=path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """An empty repository with what `init` writes; its labels are those of no hosted runner."""
    folder = tmp_path_factory.mktemp("repository")
    subprocess.run(["git", "init", "-q", folder], check=True)
    answers = Answers(machines=(starter.HOSTED, "gpu=self-hosted,linux,gpu:cuda"), suites=("smoke", "timm"))
    for name, content in starter.files(answers).items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    return folder


def test_actionlint_has_nothing_to_say(repository: pathlib.Path) -> None:
    tool("actionlint", "-oneline", "-no-color", folder=repository)


def test_zizmor_has_nothing_to_say(repository: pathlib.Path) -> None:
    tool("zizmor", "--offline", "--no-progress", "--strict-collection", "--color", "never", ".", folder=repository)


def test_the_schemas_have_nothing_to_say(repository: pathlib.Path) -> None:
    workflows = sorted((repository / ".github" / "workflows").glob("*.yml"))
    tool("check-jsonschema", "--builtin-schema", "vendor.github-workflows", *workflows, folder=repository)
    ours = repository / ".github" / config.SCHEMA_FILE
    tool("check-jsonschema", "--schemafile", ours, repository / config.PATH, folder=repository)


@pytest.mark.parametrize("fault", ["${{ github.event.pull_request.title }}", "${{ nonsense.x }}"])
def test_the_linters_would_say_something(repository: pathlib.Path, fault: str, tmp_path: pathlib.Path) -> None:
    folder = tmp_path / "bad"
    shutil.copytree(repository, folder)
    path = folder / ".github" / "workflows" / TEMPLATES[0].name
    path.write_text(path.read_text().replace('pip install "$TORCHWARDEN"', f'pip install "{fault}"', 1))
    with pytest.raises(AssertionError):
        tool("actionlint", "-oneline", "-no-color", folder=folder)


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_keeps_the_rules_of_the_house(path: pathlib.Path) -> None:
    text = path.read_text()
    workflow = yaml.safe_load(text)
    properties = json.loads(path.with_suffix(".properties.json").read_text())
    assert properties["name"] == workflow["name"]
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        assert "permissions" in job and "timeout-minutes" in job, name
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "uses" in step:
                assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40}", step["uses"]), "pin actions to a full commit"
                assert re.search(rf"{re.escape(step['uses'])} # v\d+\.\d+\.\d+", text), "say which release that is"
            else:
                assert "\n" not in step["run"] and "${{" not in step["run"], "a step is one line, values come by env"
    # Only the job that runs no code of a pull request may write or holds a token.
    measure = workflow["jobs"]["measure"]
    assert measure["permissions"] == {"contents": "read"}
    assert "secrets." not in text and "token" not in json.dumps(measure).replace("persist-credentials", "")


@pytest.mark.parametrize("path", TEMPLATES, ids=lambda path: path.stem)
def test_a_template_calls_what_there_is(path: pathlib.Path) -> None:
    import typer

    from bot.cli.app import app

    group = typer.main.get_command(app)
    waited_for = {"check", "comment"}  # the commands that speak to GitHub
    for job in yaml.safe_load(path.read_text())["jobs"].values():
        for line in (step["run"] for step in job["steps"] if step.get("run", "").startswith("torchwarden ")):
            words = re.sub(r"\"\$\w+\"", "x", line).split(" >> ")[0].split()
            command: object = group
            rest = words[1:]
            while hasattr(command, "commands") and rest:
                if rest[0] in waited_for and rest[0] not in command.commands:
                    break
                command, rest = command.commands[rest[0]], rest[1:]
            if hasattr(command, "params"):
                known = {option for parameter in command.params for option in parameter.opts}
                assert {word for word in rest if word.startswith("--")} <= known or rest[0] in waited_for, line


def test_the_version_in_a_template_is_this_one() -> None:
    for path in TEMPLATES:
        assert f"TORCHWARDEN: torchwarden=={__version__}\n" in path.read_text()


def test_what_is_answered_reads_back() -> None:
    answers = Answers(
        suites=("smoke", "benchmarks/my_suite.py"),
        machines=("hosted=ubuntu-24.04", "gpu=self-hosted,1.0,linux:cuda"),
        install='pip install -e . --config-settings="a: b" # été',
        mode="gate",
    )
    text = starter.config_text(answers)
    assert text.startswith(f"# yaml-language-server: $schema=./{config.SCHEMA_FILE}\n")
    found = config.parse(text)
    assert list(found.suites) == ["smoke", "my_suite"]
    assert found.suites["my_suite"].file == "benchmarks/my_suite.py"
    assert found.machines["gpu"].runs_on == ("self-hosted", "1.0", "linux")
    assert found.machines["gpu"].device == "cuda"
    assert found.builds.install == answers.install
    assert found.policy.mode == "gate"
    # Any reader of YAML sees the same.
    plain = yaml.safe_load(text)
    jsonschema.validate(plain, config.json_schema(), jsonschema.Draft202012Validator)
    assert plain["machines"]["gpu"]["runs-on"] == ["self-hosted", "1.0", "linux"]


@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (Answers(suites=("smok",)), "is not a built-in suite"),
        (Answers(suites=("a: b",)), "cannot be a suite"),
        (Answers(suites=("../my_suite.py",)), "write a Python file in this repository"),
        (Answers(machines=("hosted",)), "is not a machine; write its name"),
        (Answers(machines=("hosted=${{ x }}",)), "is not a machine"),
        (Answers(machines=("hosted=a", "hosted=b")), "stands a second time"),
        (Answers(install="a\x00b"), "builds.install"),
        (Answers(mode="maybe"), "policy.mode"),
    ],
)
def test_an_answer_that_cannot_be_is_a_sentence(answers: Answers, words: str) -> None:
    with pytest.raises(UserError, match=re.escape(words)):
        starter.files(answers)


def test_the_documented_example_is_what_init_writes() -> None:
    text = (ROOT / "docs" / "config.md").read_text()
    assert f"```yaml\n{starter.config_text(Answers())}```\n" in text


@pytest.mark.slow
def test_an_installed_wheel_has_the_templates(tmp_path: pathlib.Path) -> None:
    source = tmp_path / "source"
    skipped = shutil.ignore_patterns(".*", "tests", "docs", "out", "build", "*.egg-info", "__pycache__")
    shutil.copytree(ROOT, source, symlinks=True, ignore=skipped)
    pip = [
        sys.executable,
        "-m",
        "pip",
        "wheel",
        "-q",
        "--no-build-isolation",
        "--no-deps",
        "-w",
        str(tmp_path),
        str(source),
    ]
    done = subprocess.run(pip, capture_output=True, text=True)
    if "No module named 'setuptools'" in done.stderr or "Cannot import 'setuptools" in done.stderr:
        pytest.skip("setuptools is not installed")
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    shutil.unpack_archive(wheel, tmp_path / "installed", "zip")
    empty = tmp_path / "empty"
    empty.mkdir()
    run = [sys.executable, "-c", "from bot.cli import main; main(['init', '--yes'])"]
    subprocess.run(run, cwd=empty, env={"PYTHONPATH": str(tmp_path / "installed")}, check=True, capture_output=True)
    for path in TEMPLATES:
        assert (empty / ".github" / "workflows" / path.name).read_bytes() == path.read_bytes()
