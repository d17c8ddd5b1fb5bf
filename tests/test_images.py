"""The images: no Docker here to build them with, so what can be checked without is."""

from __future__ import annotations

import pathlib
import re
import shutil
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).parents[1]
FILES = sorted((ROOT / ".github" / "images").glob("*.Dockerfile"))


def _tool() -> str | None:
    return shutil.which("hadolint", path=str(pathlib.Path(sys.executable).parent)) or shutil.which("hadolint")


@pytest.mark.skipif(_tool() is None, reason="hadolint is not installed")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_an_image_is_without_reproach(path: pathlib.Path) -> None:
    command = [_tool() or "", "--config", ROOT / ".hadolint.yaml", path]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_three_images_are_there() -> None:
    assert [path.stem for path in FILES] == ["modelzoo", "torch-acl", "torch-openblas"]


@pytest.mark.skipif(shutil.which("apt-cache") is None, reason="needs Debian's lists of packages")
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_packages_that_an_image_installs_exist(path: pathlib.Path) -> None:
    wanted: set[str] = set()
    for lines in re.findall(r"apt-get install --yes --no-install-recommends(.*?)&&", path.read_text(), re.DOTALL):
        wanted |= set(lines.replace("\\", " ").split())
    assert wanted
    known = subprocess.run(["apt-cache", "pkgnames"], capture_output=True, text=True).stdout.split()
    if "debianutils" not in known or "scons" not in known:
        pytest.skip("apt has no lists of packages")
    assert wanted - set(known) == set()


def test_the_model_zoo_runs_a_command_that_exists() -> None:
    (line,) = [line for line in (FILES[0]).read_text().splitlines() if line.startswith("ENTRYPOINT")]
    words = re.findall(r'"([^"]*)"', line)
    assert words[:2] == ["torchwarden", "run"]
    done = subprocess.run(
        [sys.executable, "-m", "bot.cli", *words[1:-2], "--help"], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
