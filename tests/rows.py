"""A repository with a small package whose step really changes its speed at known commits, to be searched by builds.

    folder = rows.repository(tmp_path / "repository", 64, {"first": {23: 0.05}, "second": {}}, broken={7, 8}, seed=1)
    torchwarden("bisect", "--good", "HEAD~64", "--bad", "HEAD", *rows.OPTIONS, cwd=folder)

Each commit changes the package: most a remark, some the number of products that a step computes, and the broken ones
leave out the file without which it cannot be installed. A build is a virtual environment of its own, into which the
package is installed; torch comes from this environment.
"""

from __future__ import annotations

import pathlib
import subprocess
import sysconfig
from collections.abc import Iterable, Mapping

PRODUCTS = 100
"""Products of a step before anything changed; 1 % is one of them."""

SUITE = '''
from harness.benchmark import Workload, benchmark


def gauge(name):
    @benchmark(name, category="OTHER", domain="OTHER_TASKS", sizes={"small": {"batch": 1}}, types=("eval",))
    def build(request):
        """As many products as the package under test computes."""
        import importlib

        import torch

        package = importlib.import_module(f"gauge_package.{name}")
        matrix = torch.randn(72, 72)

        def step(workload, clock):
            with torch.inference_mode():
                return package.work(matrix)

        return Workload(model=torch.nn.Identity(), inputs=(), items=1, step=step)


for name in %r:
    gauge(name)
'''
MODULE = """import torch

PRODUCTS = {products}


def work(matrix):
    for _ in range(PRODUCTS):
        out = torch.mm(matrix, matrix)
    return out
"""
INSTALL = (
    "grep -q version package.cfg && cp -r gauge_package $VIRTUAL_ENV/lib/python*/site-packages/ && "
    f'echo "{sysconfig.get_paths()["purelib"]}" > "$(echo $VIRTUAL_ENV/lib/python*/site-packages)/torch_of_another.pth"'
)
OPTIONS = (
    *("--suite", "my_suite.py", "--type", "eval", "--install-command", INSTALL),
    *("--nurseries", "2", "--code-pages", "shared"),
)
_IDENTITY = ("-c", "user.name=Ada Example", "-c", "user.email=ada@localhost", "-c", "commit.gpgSign=false")


def repository(
    folder: pathlib.Path,
    commits: int,
    steps: Mapping[str, Mapping[int, float]],
    broken: Iterable[int] = (),
    seed: int = 0,
) -> pathlib.Path:
    """A repository of `commits` commits beside its first one; `steps` are relative changes by test and commit."""
    package = folder / "gauge_package"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text("")
    (folder / "my_suite.py").write_text(SUITE % (tuple(steps),))
    (folder / ".gitignore").write_text("my_suite.py\nout/\n")
    _git(folder, "init", "--quiet")
    factors = dict.fromkeys(steps, 1.0)
    for number in range(commits + 1):
        subject = ""
        for name, changes in steps.items():
            if number in changes:
                factors[name] *= 1 + changes[number]
                subject = f"Change the work of {name} by {changes[number]:+.0%}"
            (package / f"{name}.py").write_text(MODULE.format(products=round(PRODUCTS * factors[name])))
        if not subject:
            # In commits of their own, so that a culprit's revert applies.
            subject = f"Remark {number}"
            (folder / "REMARKS").write_text(f"{seed}: {number} remarks\n")
        (folder / "package.cfg").write_text("" if number in set(broken) else "version\n")
        _git(folder, "add", "--all")
        _git(folder, *_IDENTITY, "commit", "--quiet", "-m", subject)
    return folder


def hashes(folder: pathlib.Path) -> list[str]:
    """The commits of a repository, the first one first."""
    return _git(folder, "rev-list", "--reverse", "HEAD").split()


def _git(folder: pathlib.Path, *arguments: str) -> str:
    return subprocess.run(["git", *arguments], cwd=folder, capture_output=True, text=True, check=True).stdout
