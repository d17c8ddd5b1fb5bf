"""The commits of a repository that a search goes through, and a commit taken back.

Promises that the user's checkout, index, branches and references are only read: whatever is made is made in a clone of
its own. Raises UserError where git refuses.
"""

from __future__ import annotations

import pathlib
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from harness.errors import UserError

_FIELDS = "%H%x1f%an%x1f%cI%x1f%s%x1e"
_OURSELVES = (
    *("-c", "user.name=torchwarden", "-c", "user.email=torchwarden@localhost"),
    *("-c", "commit.gpgSign=false", "-c", "core.hooksPath=/dev/null", "-c", "advice.detachedHead=false"),
)


@dataclass(frozen=True)
class Commit:
    """A commit: its full hash, its author's name, when it was committed (ISO 8601) and its subject."""

    hash: str
    author: str
    date: str
    subject: str


def is_ancestor(earlier: str, later: str, repository: pathlib.Path) -> bool:
    """Whether a commit is the other's ancestor; both are full hashes."""
    done = _git(["merge-base", "--is-ancestor", earlier, later], repository)
    if done.returncode > 1:
        raise UserError(f"git cannot say how {earlier[:12]} and {later[:12]} are related ({_said(done)}); fetch both")
    return done.returncode == 0


def between(good: str, bad: str, repository: pathlib.Path) -> list[Commit]:
    """The commits from `good` to `bad`, both included, along first parents: what a merge brought comes as one.

    Both are full hashes, and `good` is an ancestor of `bad`.
    """
    done = _git(["log", "--first-parent", "--reverse", f"--format={_FIELDS}", f"{good}..{bad}"], repository)
    start = _git(["log", "-1", f"--format={_FIELDS}", good], repository)
    for one in (done, start):
        if one.returncode != 0:
            raise UserError(f"git cannot list the commits from {good[:12]} to {bad[:12]} ({_said(one)}); fetch them")
    records = [record.strip("\n") for record in (start.stdout + done.stdout).split("\x1e")]
    return [Commit(*record.split("\x1f", 3)) for record in records if record]


def without(
    culprit: str, tip: str, repository: pathlib.Path, folder: pathlib.Path, environment: Mapping[str, str]
) -> str | None:
    """The hash of `tip` with `culprit` reverted, as a commit in a new clone at `folder`; None where it does not apply.

    The same two commits give the same hash at any time, so that a build of it is found again.
    """
    cloned = _git(["clone", "--quiet", "--shared", "--no-checkout", str(repository.resolve()), str(folder)], repository)
    checked_out = cloned.returncode == 0 and _git(["checkout", "--quiet", "--detach", tip], folder).returncode == 0
    if not checked_out:
        raise UserError(f"the repository cannot be cloned into {folder} ({_said(cloned)}); free some space there")
    date = _git(["log", "-1", "--format=%cI", tip], folder).stdout.strip()
    parents = _git(["rev-list", "--parents", "-1", culprit], folder).stdout.split()[1:]
    mainline = ["--mainline", "1"] if len(parents) > 1 else []
    dated = {**environment, "GIT_COMMITTER_DATE": date, "GIT_AUTHOR_DATE": date}
    if _git(["revert", "--no-edit", *mainline, culprit], folder, dated).returncode != 0:
        return None
    return _git(["rev-parse", "HEAD"], folder).stdout.strip()


def _git(
    arguments: Sequence[str], folder: pathlib.Path, environment: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(
            ["git", *_OURSELVES, *arguments],
            cwd=folder,
            env=None if environment is None else dict(environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )
    except OSError as error:
        raise UserError(f"git cannot be run ({error.strerror}); install it to search through commits") from None


def _said(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1][:200]
