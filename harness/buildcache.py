"""Makes builds: from a specification to an interpreter with torch, kept by content and made once.

A build's folder bears a digest of all that goes into it: the requirement, the wheel's bytes or the commit, the packages
beside it, the install command, the base interpreter and pip's index. Promises that a folder is used only when its
making came to an end (a marker is written last), that two processes do not make the same one at once, that a failure
leaves a log and nothing else, and that it is one sentence naming the command that failed. Imports no torch.
"""

from __future__ import annotations

import contextlib
import dataclasses
import fcntl
import hashlib
import importlib.util
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from harness.buildspec import Specification
from harness.errors import UserError

NIGHTLY_INDEX = "https://download.pytorch.org/whl/nightly/cpu"
DEFAULT_INSTALL = "pip install -e ."
TIMEOUT = 6 * 3600.0
"""Seconds that one command may take: PyTorch itself is built within some hours."""

_HAS_PIP = importlib.util.find_spec("pip") is not None
"""Whether this interpreter's pip can install into others (`pip --python`), so that they need none of their own."""

_MARKER = "made.json"
_SEEN_BY_PIP = ("PIP_INDEX_URL", "PIP_EXTRA_INDEX_URL", "PIP_FIND_LINKS", "PIP_CONSTRAINT", "PIP_CONFIG_FILE")
_GIT = ("git", "-c", "advice.detachedHead=false")

Say = Callable[[str], None]


class NotMade(UserError):
    """A command that makes a build failed; `log` is the file that tells more, or ""."""

    def __init__(self, sentence: str, log: str = "") -> None:
        super().__init__(sentence)
        self.log = log


class NotKept(UserError):
    """The folder of builds cannot be written, which says nothing of the build."""


@dataclass(frozen=True)
class Beside:
    """What builds are made with: packages beside torch, and how a commit of the repository is installed."""

    packages: tuple[str, ...] = ()
    install_command: str = DEFAULT_INSTALL
    repository: pathlib.Path = pathlib.Path()


def interpreter(
    specification: Specification, beside: Beside, folder: pathlib.Path, environment: Mapping[str, str], say: Say
) -> pathlib.Path:
    """The interpreter of a build that has to be made, from `folder` if it has been made before.

    `say` is told what is being done. Raises UserError when it cannot be made.
    """
    recipe = _recipe(specification, beside, environment)
    digest = hashlib.sha256(json.dumps(recipe, sort_keys=True).encode()).hexdigest()[:20]
    home = folder / digest
    python = home / "venv" / "bin" / "python"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with _locked(folder / f"{digest}.lock"):
            if (home / _MARKER).is_file() and python.exists():
                return python
            _make(specification, beside, recipe, home, folder / f"{digest}.log", environment, say)
    except OSError as error:
        raise NotKept(
            f"the build {specification.name} cannot be kept in {folder} ({error.strerror}); free some space there, or "
            "name another folder with XDG_CACHE_HOME"
        ) from None
    return python


def _recipe(specification: Specification, beside: Beside, environment: Mapping[str, str]) -> dict[str, object]:
    """All that decides what a build will be."""
    content = specification.text
    if specification.kind == "wheel" and "://" not in content:
        try:
            content = _digest(pathlib.Path(content))
        except OSError as error:
            raise UserError(f"the wheel {specification.text} cannot be read ({error.strerror}); name another") from None
    if specification.kind == "git":
        content = commit(specification, beside.repository)
    return {
        "kind": specification.kind,
        "content": content,
        "packages": beside.packages,
        "install": beside.install_command if specification.kind == "git" else "",
        "python": [os.path.realpath(sys.executable), sys.version],
        "pip": {name: environment[name] for name in _SEEN_BY_PIP if name in environment},
    }


def _digest(path: pathlib.Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(2**20):
            digest.update(block)
    return digest.hexdigest()


def pinned(specification: Specification, beside: Beside) -> Specification:
    """The specification with its commit written as a hash, which means the same tomorrow. Raises UserError."""
    if specification.kind != "git":
        return specification
    return dataclasses.replace(specification, text=f"git:{commit(specification, beside.repository)}")


def commit(specification: Specification, repository: pathlib.Path) -> str:
    """The full hash of the commit that a `git:REF` names in a repository. Raises UserError."""
    reference = specification.text.partition(":")[2]
    # A leading hyphen would be an option; git itself allows no reference with one.
    if not reference or reference.startswith("-"):
        raise UserError(f"{specification.text!r} names no commit; write git:REF with a branch, a tag or a hash")
    command = [*_GIT, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{reference}^{{commit}}"]
    try:
        done = subprocess.run(command, cwd=repository, capture_output=True, text=True, check=False)
    except OSError as error:
        raise UserError(f"git cannot be run ({error.strerror}); install it to build {specification.text}") from None
    if done.returncode != 0:
        raise UserError(
            f"there is no commit {reference!r} in the repository at {repository.resolve()}; fetch it, or name another"
        )
    return done.stdout.strip()


@contextlib.contextmanager
def _locked(path: pathlib.Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _make(
    specification: Specification,
    beside: Beside,
    recipe: Mapping[str, object],
    home: pathlib.Path,
    log: pathlib.Path,
    environment: Mapping[str, str],
    say: Say,
) -> None:
    # Left by a process that was killed.
    shutil.rmtree(home, ignore_errors=True)
    try:
        home.mkdir()
        log.unlink(missing_ok=True)
        workshop = _Workshop(specification.name, home, log, environment, say)
        workshop.make_environment(with_pip=specification.kind == "git")
        _INSTALLERS[specification.kind](workshop, specification, beside, str(recipe["content"]))
        if beside.packages:
            workshop.pip("install", *beside.packages)
        (home / _MARKER).write_text(json.dumps(recipe, indent=1, default=list) + "\n")
    except BaseException:
        shutil.rmtree(home, ignore_errors=True)
        raise
    log.unlink(missing_ok=True)


class _Workshop:
    """Runs the commands that make one build, into its log."""

    def __init__(
        self, name: str, home: pathlib.Path, log: pathlib.Path, environment: Mapping[str, str], say: Say
    ) -> None:
        self.home, self._name, self._log, self._say = home, name, log, say
        self._venv = str(home / "venv")
        self._environment = {
            **{key: value for key, value in environment.items() if key not in ("PYTHONHOME", "PYTHONPATH")},
            "VIRTUAL_ENV": self._venv,
            "PATH": f"{self._venv}/bin{os.pathsep}{environment.get('PATH', os.defpath)}",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            "PIP_NO_INPUT": "1",
        }

    def make_environment(self, *, with_pip: bool) -> None:
        """An empty virtual environment; `with_pip` for commands of the user's that call pip, which takes seconds."""
        if self._uv:
            self.run(
                ["uv", "venv", "--quiet", *(["--seed"] if with_pip else []), "--python", sys.executable, self._venv]
            )
        else:
            lean = not with_pip and _HAS_PIP
            self.run([sys.executable, "-m", "venv", *(["--without-pip"] if lean else []), self._venv])

    @property
    def _uv(self) -> bool:
        # uv does not read pip's settings; where those say where packages come from, pip it is.
        return shutil.which("uv", path=self._environment["PATH"]) is not None and not any(
            name in self._environment for name in (*_SEEN_BY_PIP, "PIP_NO_INDEX")
        )

    def pip(self, *arguments: str) -> str:
        """Run pip (or uv's, where it is there) for the environment; what it printed."""
        python = str(self.python)
        if self._uv:
            return self.run(["uv", "pip", arguments[0], "--python", python, *arguments[1:]])
        if _HAS_PIP:
            return self.run([sys.executable, "-m", "pip", "--python", python, *arguments])
        return self.run([python, "-m", "pip", *arguments])

    @property
    def python(self) -> pathlib.Path:
        """The interpreter of the environment."""
        return self.home / "venv" / "bin" / "python"

    def run(self, command: Sequence[str], cwd: pathlib.Path | None = None, shown: str = "") -> str:
        """Run a command and return what it printed. Raises UserError with its last words when it fails."""
        shown = shown or " ".join(pathlib.Path(word).name if word.startswith("/") else word for word in command)
        self._say(f"build {self._name}: {shown}")
        with self._log.open("ab") as log:
            log.write(f"$ {shown}\n".encode())
            log.flush()
            begin = log.tell()
            process = subprocess.Popen(
                command,
                cwd=cwd or self.home,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
            try:
                status = process.wait(TIMEOUT)
            except BaseException as error:
                # The command's own children too, whatever ended the waiting.
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                if isinstance(error, subprocess.TimeoutExpired):
                    raise self.failed(shown, f"it took longer than {TIMEOUT:.0f} s") from None
                raise
        with self._log.open("rb") as file:
            file.seek(begin)
            said = file.read().decode(errors="replace")
        if status != 0:
            raise self.failed(shown, last_words(said) or f"exit code {status}")
        return said

    def failed(self, shown: str, why: str) -> NotMade:
        """The sentence for a command that failed."""
        return NotMade(
            f"the build {self._name} cannot be made: `{shown}` failed ({why}); its log is {self._log}", str(self._log)
        )


def last_words(said: str) -> str:
    """What a command said of why it failed: its last line that tells of an error, or its last line."""
    lines = [line.strip() for line in said.splitlines() if line.strip() and not line.startswith("[notice]")]
    telling = [line for line in lines if re.search(r"\berror\b|no space left|not found|no such", line, re.IGNORECASE)]
    return (telling or lines or [""])[-1][:300]


def _requirement(workshop: _Workshop, specification: Specification, beside: Beside, content: str) -> None:
    workshop.pip("install", *requirements(content))


def requirements(text: str) -> list[str]:
    """Requirements from a text that holds several, parted by white space; `torch == 2.13.0` is one."""
    joined = re.sub(r"\s*(===|==|>=|<=|~=|!=|<|>|@|,)\s*", r"\1", text)
    return joined.split()


def _wheel(workshop: _Workshop, specification: Specification, beside: Beside, content: str) -> None:
    text = specification.text
    workshop.pip("install", text if "://" in text else str(pathlib.Path(text).resolve()))


def _nightly(workshop: _Workshop, specification: Specification, beside: Beside, content: str) -> None:
    day = content.partition(":")[2]
    said = workshop.pip("index", "versions", "--pre", "torch", "--index-url", NIGHTLY_INDEX)
    version = nightly_version(said, day)
    if version is None:
        raise NotMade(f"PyTorch has no nightly of {day} at {NIGHTLY_INDEX}; name another day")
    workshop.pip("install", "--pre", f"torch=={version}", "--index-url", NIGHTLY_INDEX)


def nightly_version(said: str, day: str) -> str | None:
    """The version of a day in what `pip index versions` prints; None where it has none."""
    found = re.search(rf"[\w.]+\.dev{day}(?:\+[\w.]+)?", said)
    return found.group() if found else None


def _git(workshop: _Workshop, specification: Specification, beside: Beside, content: str) -> None:
    source = workshop.home / "source"
    repository = str(beside.repository.resolve())
    workshop.run([*_GIT, "clone", "--quiet", "--no-checkout", repository, str(source)], shown=f"git clone {repository}")
    workshop.run([*_GIT, "checkout", "--quiet", "--detach", content], cwd=source, shown=f"git checkout {content[:12]}")
    if (source / ".gitmodules").exists():
        workshop.run([*_GIT, "submodule", "--quiet", "update", "--init", "--recursive"], cwd=source)
    workshop.run(["/bin/sh", "-e", "-c", beside.install_command], cwd=source, shown=beside.install_command)


_INSTALLERS: dict[str, Callable[[_Workshop, Specification, Beside, str], None]] = {
    "requirement": _requirement,
    "wheel": _wheel,
    "nightly": _nightly,
    "git": _git,
}
