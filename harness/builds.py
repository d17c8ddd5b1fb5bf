"""Builds: from what the user names to an interpreter whose torch and packages are known.

A build is named `current` (this interpreter), `name=path` or `path` of a Python interpreter. It is asked, in a process
of its own, what it holds. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import shutil
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

from harness import codepages, records
from harness.errors import UserError

CURRENT = "current"

WORKER_MODULES = (
    "__init__.py",
    "accuracy.py",
    "answers.py",
    "benchmark.py",
    "clock.py",
    "codepages.py",
    "compilation.py",
    "facts.py",
    "injection.py",
    "lanes.py",
    "modenames.py",
    "precision.py",
    "profile.py",
    "worker.py",
    "nursery.py",
    "suites",
)
"""What goes into a build: the only code of ours that is importable there."""

_PROBE = """
import importlib.metadata as metadata, json, pathlib, platform, sys
found = {"python_version": platform.python_version(), "torch_version": None}
try:
    import torch
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}"
else:
    found["torch_version"] = str(torch.__version__)
    found["torch_git_version"] = getattr(torch.version, "git_version", None)
    found["torch_config"] = torch.__config__.show()
    found["cuda"] = torch.cuda.is_available()
maps = pathlib.Path("/proc/self/maps")
found["maps"] = maps.read_text() if maps.exists() else ""
found["packages"] = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
print(json.dumps(found))
"""


def resolve(
    specification: str, default_name: str, environment: Mapping[str, str], *, device: str = "cpu"
) -> records.Build:
    """The build that `specification` names, under its own name or `default_name`.

    Raises UserError when there is no such interpreter, it cannot be run, it has no working torch, or its torch sees no
    CUDA device although `device` is "cuda".
    """
    name, separator, path = specification.rpartition("=")
    if not separator:
        name, path = default_name, specification
    if not name.replace("-", "").replace("_", "").replace(".", "").isalnum():
        raise UserError(f"{name!r} cannot name a build; use letters, digits, dots, hyphens and underscores")
    # Absolute, for it is run from other folders; not resolved, for a virtual environment's python is a link.
    python = sys.executable if path == CURRENT else str(pathlib.Path(path).absolute())
    if path != CURRENT and not pathlib.Path(python).is_file():
        raise UserError(
            f"there is no build {specification!r}; name `current`, or the path of a Python interpreter as name=path"
        )
    found = _probe(python, environment)
    if found["torch_version"] is None:
        raise UserError(
            f"the interpreter {python} has no working torch ({found.get('error')}); install torch into it, "
            "for this one with `pip install torchwarden[harness]`"
        )
    if device == "cuda" and not found["cuda"]:
        raise UserError(
            f"the torch of build {name} sees no CUDA device; use --device cpu or a CUDA build on a GPU machine"
        )
    packages = dict(sorted(found["packages"].items()))
    identity = [
        found["python_version"],
        found["torch_version"],
        found["torch_git_version"],
        found["torch_config"],
        packages,
    ]
    return records.Build(
        name=name,
        python=python,
        python_version=found["python_version"],
        torch_version=found["torch_version"],
        torch_git_version=found["torch_git_version"],
        torch_config=found["torch_config"],
        packages=packages,
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16],
        code_bytes=sum(mapping.size for mapping in codepages.mappings(found["maps"])),
    )


def _probe(python: str, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=300,
            env=dict(environment),
            # Not where the user stands: in a checkout of PyTorch, the folder `torch` would be taken for the package.
            cwd="/",
            check=False,
        )
        found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
        return found
    except OSError as error:
        raise UserError(f"{python} cannot be run ({error.strerror}); name a Python interpreter") from None
    except subprocess.TimeoutExpired:
        raise UserError(f"{python} did not import torch within 300 s; check that interpreter by hand") from None
    except (IndexError, ValueError):
        tail = done.stderr.strip().splitlines()[-1:] or ["no output"]
        raise UserError(f"{python} does not behave as a Python interpreter ({tail[0]}); name another") from None


def copy_worker_tree(target: pathlib.Path) -> None:
    """Copy what a worker imports to `target`, which becomes the package `harness` inside a build."""
    source = pathlib.Path(__file__).parent
    target.mkdir(parents=True)
    for name in WORKER_MODULES:
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copyfile(source / name, target / name)
