"""Builds that are made: two commits of a repository, compared for real."""

from __future__ import annotations

import pathlib
import shlex
import subprocess
import sysconfig

import pytest

from bot import reproduce
from harness import records
from tests.commandline import torchwarden

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

SUITE = '''
from harness.benchmark import Workload, benchmark


@benchmark("gauge", category="OTHER", domain="OTHER_TASKS", sizes={"small": {"batch": 1}}, types=("eval",))
def gauge(request):
    """As many products as the package under test says."""
    import gauge_package
    import torch

    matrix = torch.randn(256, 256)

    def step(workload, clock):
        with torch.inference_mode():
            for _ in range(gauge_package.PRODUCTS):
                out = torch.mm(matrix, matrix)
        return out

    return Workload(model=torch.nn.Identity(), inputs=(), items=1, step=step)
'''
# The torch of this environment serves for both commits; what differs is the package.
INSTALL = (
    'cp gauge_package.py $VIRTUAL_ENV/lib/python*/site-packages/ && echo "{packages}" > '
    "$(echo $VIRTUAL_ENV/lib/python*/site-packages)/torch_of_another.pth"
)

ALONE = ("--no-control", "--no-confirm", "--no-explain")
"""What follows and surrounds a measurement has tests of its own."""


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    folder = tmp_path / "repository"
    folder.mkdir()
    identity = ["-c", "user.name=us", "-c", "user.email=us@localhost"]
    subprocess.run(["git", "init", "--quiet"], cwd=folder, check=True)
    for products in (4, 8):
        (folder / "gauge_package.py").write_text(f"PRODUCTS = {products}\n")
        subprocess.run(["git", "add", "gauge_package.py"], cwd=folder, check=True)
        subprocess.run(["git", *identity, "commit", "--quiet", "-m", f"{products} products"], cwd=folder, check=True)
    (folder / "my_suite.py").write_text(SUITE)
    return folder


def test_two_commits_of_a_repository_are_built_measured_and_named_for_others(repository: pathlib.Path) -> None:
    install = INSTALL.format(packages=sysconfig.get_paths()["purelib"])
    builds = ("--base", "git:HEAD~1", "--head", "git:HEAD", "--install-command", install)
    options = ("--suite", "my_suite.py", "--type", "eval", "--nurseries", "2", "--budget", "30s")
    done = torchwarden("bench", *options, *ALONE, *builds, cwd=repository)
    assert done.returncode == 1, done.stdout + done.stderr
    assert "build base: git checkout" in done.stderr and "build head: git checkout" in done.stderr
    (path,) = (repository / "out").glob("run-*.jsonl")
    header = records.read(path).header
    command = ["git", "rev-list", "--reverse", "HEAD"]
    commits = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=True).stdout.split()
    assert [build.specification for build in header.builds] == [f"git:{commit}" for commit in commits]
    assert header.builds[0].python != header.builds[1].python
    assert {build.install_command for build in header.builds} == {install}
    assert header.builds[0].fingerprint != header.builds[1].fingerprint
    line = reproduce.command(header, [])
    assert shlex.join(["--install-command", install]) in line
    assert f"--base git:{commits[0]}" in line and f"--head git:{commits[1]}" in line
    # Made once, the second run finds them.
    again = torchwarden("run", *options, *builds, "--out", "again.jsonl", cwd=repository)
    assert again.returncode == 0, again.stderr
    assert "git checkout" not in again.stderr


VARIABLE_SUITE = SUITE.replace("import gauge_package", "import os").replace(
    "gauge_package.PRODUCTS", 'int(os.environ.get("PRODUCTS", 4))'
)


def test_a_build_is_compared_with_itself_under_a_variable(tmp_path: pathlib.Path) -> None:
    (tmp_path / "my_suite.py").write_text(VARIABLE_SUITE)
    options = ("--suite", "my_suite.py", "--type", "eval", "--nurseries", "2", "--budget", "30s")
    done = torchwarden("bench", *options, *ALONE, "--ab-env", "PRODUCTS=8", cwd=tmp_path)
    assert done.returncode == 1, done.stdout + done.stderr
    (path,) = (tmp_path / "out").glob("run-*.jsonl")
    header = records.read(path).header
    assert [(build.name, build.environment) for build in header.builds] == [("base", {}), ("head", {"PRODUCTS": "8"})]
    assert header.builds[0].python == header.builds[1].python
    assert "Base and head are the same build" not in done.stdout
    line = reproduce.command(header, [])
    assert "--ab-env PRODUCTS=8" in line and "--base" not in line


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--base", "git:nowhere"), "no commit 'nowhere'"),
        (("--base", "torch==0.0.0"), "`python -m pip"),
        (("--base", "absent.whl"), "absent.whl cannot be read"),
        (("--base", "git:HEAD", "--install-command", "exit 3"), "`exit 3` failed"),
        (("--base", "git:HEAD", "--install-command", "true"), "has no working torch"),
    ],
)
def test_a_build_that_cannot_be_made_is_one_sentence_and_no_run(
    options: tuple[str, ...], said: str, repository: pathlib.Path
) -> None:
    done = torchwarden("run", "--suite", "my_suite.py", *options, "--out", "run.jsonl", cwd=repository)
    assert done.returncode == 2, done.stdout
    assert said in done.stderr.splitlines()[-1]
    assert not (repository / "run.jsonl").exists()
    assert "Traceback" not in done.stderr
