"""Runs `torchwarden` as a user does, in a process of its own, for the tests of the command line."""

from __future__ import annotations

import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).parents[1]
COMMANDS = (
    *("list", "run", "judge", "report", "bench", "calibrate", "compare", "score", "export", "import", "schema"),
    "bisect",
    "reference",
    "nightly",
    "swap",
    "profile",
    "explain",
    "validate",
    "config",
    "init",
    "comment",
    "check",
    "issues",
    "command",
)


def environment(home: pathlib.Path, **more: str) -> dict[str, str]:
    """This environment with `home` as the home folder and this source tree on the path."""
    kept = {name: value for name, value in os.environ.items() if name not in ("XDG_STATE_HOME", "PYTHONPATH")}
    return {**kept, "HOME": str(home), "PYTHONPATH": str(ROOT), "COLUMNS": "100", **more}


def torchwarden(
    *arguments: object, cwd: pathlib.Path, timeout: float = 300, options: tuple[str, ...] = (), **more: str
) -> subprocess.CompletedProcess[str]:
    """Run the command in the folder `cwd`, which is its home too; `options` are the interpreter's, `more` variables."""
    return subprocess.run(
        [sys.executable, *options, "-m", "bot.cli", *map(str, arguments)],
        cwd=cwd,
        env=environment(cwd, **more),
        capture_output=True,
        text=True,
        timeout=timeout,
        check=False,
    )


def contents(folder: pathlib.Path) -> Mapping[str, bytes]:
    """All files of a folder by name, with their bytes."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def one_sentence(stderr: str) -> str:
    """The sentence of an error; fails when there is anything else."""
    assert stderr.startswith("torchwarden: "), stderr
    assert stderr.endswith("\n") and stderr.count("\n") == 1, stderr
    assert "Traceback" not in stderr
    return stderr.removeprefix("torchwarden: ").strip()
