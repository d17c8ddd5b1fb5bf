"""`--help` answers at once: it must not load what only measuring, judging or drawing needs."""

from __future__ import annotations

import pathlib
import subprocess
import sys
import time

import pytest

from tests.commandline import COMMANDS, environment, torchwarden

HEAVY = (
    "numpy",
    "scipy",
    "torch",
    "rich",
    "yaml",
    "ruamel",
    "jinja2",
    "psutil",
    "altair",
    "github",
    "requests",
    "harness.interleave",
)


@pytest.mark.parametrize("command", ["", *COMMANDS, "reference update"])
def test_help_loads_nothing_heavy(command: str, tmp_path: pathlib.Path) -> None:
    done = torchwarden(*command.split(), "--help", cwd=tmp_path, options=("-X", "importtime"))
    assert done.returncode == 0
    assert f"torchwarden {command}".strip() in done.stdout
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines() if line.startswith("import time:")}
    assert "bot.cli.app" in loaded, "the list of imports was not understood"
    for name in HEAVY:
        assert not [module for module in loaded if module == name or module.startswith(name + ".")], name


def test_help_is_quick_compared_with_what_it_avoids(tmp_path: pathlib.Path) -> None:
    def seconds(*arguments: str) -> float:
        taken = []
        for _ in range(5):
            began = time.perf_counter()
            subprocess.run(
                [sys.executable, *arguments], cwd=tmp_path, env=environment(tmp_path), check=True, capture_output=True
            )
            taken.append(time.perf_counter() - began)
        return min(taken)

    assert seconds("-m", "bot.cli", "--help") < seconds("-c", "import harness.interleave, bot.judge")


def test_the_version_is_that_of_the_harness(tmp_path: pathlib.Path) -> None:
    from harness import __version__

    assert torchwarden("--version", cwd=tmp_path).stdout == f"torchwarden {__version__}\n"
