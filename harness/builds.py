"""Builds: from what the user names to an interpreter whose torch and packages are known.

How a build is named: `harness.buildspec`; how one that is not there yet is made: `harness.buildcache`. An interpreter
is asked, in a process of its own, what it holds. Imports no torch.
"""

from __future__ import annotations

import hashlib
import json
import pathlib
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from harness import buildspec, codepages, records
from harness.errors import UserError

WORKER_MODULES = (
    "__init__.py",
    "accuracy.py",
    "answers.py",
    "benchmark.py",
    "clock.py",
    "codepages.py",
    "compilation.py",
    "counting.py",
    "facts.py",
    "injection.py",
    "lanes.py",
    "layouts.py",
    "modenames.py",
    "precision.py",
    "profile.py",
    "worker.py",
    "nursery.py",
    "suites",
)
"""What goes into a build: the only code of ours that is importable there."""

NOT_INHERITED = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "PYTHONSTARTUP", "__PYVENV_LAUNCHER__")
"""Variables by which one interpreter would find another's packages."""

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
    found["acl"] = bool(getattr(torch._C, "_has_mkldnn_acl", False))
    found["onednn"] = bool(torch.backends.mkldnn.is_available())
    try:
        found["kernels"] = torch.backends.cpu.get_cpu_capability()
        found["instructions"] = [name for name, there in torch.cpu.get_capabilities().items() if there is True]
    except AttributeError:
        pass  # an earlier torch, which does not tell
maps = pathlib.Path("/proc/self/maps")
found["maps"] = maps.read_text() if maps.exists() else ""
found["packages"] = {d.metadata["Name"]: d.version for d in metadata.distributions() if d.metadata["Name"]}
print(json.dumps(found))
"""


def resolve(
    asked: buildspec.Specification,
    environment: Mapping[str, str],
    *,
    device: str = "cpu",
    variables: Mapping[str, str] | None = None,
    make: Callable[[buildspec.Specification], pathlib.Path] | None = None,
) -> records.Build:
    """The build that was asked for, whose processes get `variables` beside the environment.

    `make` gives the interpreter of a build that is not there yet. Raises UserError when there is no such interpreter or
    it cannot be made, it cannot be run, it has no working torch, or its torch sees no CUDA device although `device` is
    "cuda".
    """
    name = asked.name
    if asked.made and make is not None:
        python = str(make(asked))
    elif asked.kind == "current":
        python = sys.executable
    else:
        # Absolute, for it is run from other folders; not resolved, for a virtual environment's python is a link.
        python = str(pathlib.Path(asked.text).absolute())
        if not pathlib.Path(python).is_file():
            raise UserError(
                f"there is no build {asked.text!r}; name `current`, the path of a Python interpreter, a requirement "
                "such as torch==2.13.0, a wheel, nightly:DAY or git:REF"
            )
    variables = dict(variables or {})
    found = _probe(python, {**environment, **variables})
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
    if asked.kind == "git":
        # Two commits of one version differ in nothing that an interpreter tells.
        identity.append(asked.text)
    if variables:
        identity.append(variables)
    return records.Build(
        name=name,
        python=python,
        python_version=found["python_version"],
        torch_version=found["torch_version"],
        torch_git_version=found["torch_git_version"],
        torch_config=found["torch_config"],
        packages=packages,
        fingerprint=hashlib.sha256(json.dumps(identity).encode()).hexdigest()[:16],
        specification="" if asked.kind == "path" else asked.text,
        environment=variables,
        code_bytes=sum(mapping.size for mapping in codepages.mappings(found["maps"])),
        libraries=libraries(found),
    )


TELLING_INSTRUCTIONS = ("bf16", "sve", "sve2", "sve_bf16", "i8mm", "avx512_bf16", "avx512_fp16", "amx_bf16", "amx_int8")
"""Instructions that decide how fast reduced precision is, as torch names them."""

_MKL = re.compile(r"Math Kernel Library Version (\d[\w.]*)")
_ONEDNN = re.compile(r"MKL-DNN v(\d[\w.]*)")
_OPENBLAS = re.compile(r"BLAS_INFO=open\b|/torch(?:\.libs)?/.*libopenblas")


def libraries(probed: Mapping[str, Any]) -> dict[str, str]:
    """What a build's torch computes with, as `records.Build.libraries`, from what its process told of itself."""
    config, maps = str(probed.get("torch_config") or ""), str(probed.get("maps") or "")
    found: dict[str, str] = {}
    if probed.get("onednn"):
        found["oneDNN"] = version[1] if (version := _ONEDNN.search(config)) else _UNTOLD
    if probed.get("acl"):
        found["ACL"] = _UNTOLD
    if version := _MKL.search(config):
        found["MKL"] = version[1]
    # numpy and scipy may bring an OpenBLAS of their own, which torch does not use.
    if _OPENBLAS.search(f"{config}\n{maps}"):
        found["OpenBLAS"] = _UNTOLD
    if probed.get("kernels"):
        found["kernels"] = str(probed["kernels"])
    if seen := [name for name in TELLING_INSTRUCTIONS if name in (probed.get("instructions") or ())]:
        found["instructions"] = " ".join(seen)
    return found


_UNTOLD = "yes"


def _probe(python: str, environment: Mapping[str, str]) -> dict[str, Any]:
    try:
        done = subprocess.run(
            [python, "-c", _PROBE],
            capture_output=True,
            text=True,
            timeout=300,
            # As a nursery has it: what lies on the user's path is no part of the build.
            env={name: value for name, value in environment.items() if name not in NOT_INHERITED},
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
