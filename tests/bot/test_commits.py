"""Commits of real repositories."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest

from bot import commits
from harness.errors import UserError

IDENTITY = ("-c", "user.name=Bö \x1b", "-c", "user.email=a@localhost", "-c", "commit.gpgSign=false")


def git(folder: pathlib.Path, *words: str) -> str:
    done = subprocess.run(["git", *IDENTITY, *words], cwd=folder, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def repository(tmp_path: pathlib.Path) -> pathlib.Path:
    """main: start, one, a merge of `side` (two commits), last."""
    git(tmp_path, "init", "--quiet", "--initial-branch", "main")

    def commit(name: str) -> None:
        (tmp_path / name).write_text(name)
        git(tmp_path, "add", name)
        git(tmp_path, "commit", "--quiet", "-m", name)

    commit("start")
    git(tmp_path, "checkout", "--quiet", "-b", "side")
    commit("side-1")
    commit("side-2")
    git(tmp_path, "checkout", "--quiet", "main")
    commit("one")
    git(tmp_path, "merge", "--quiet", "--no-ff", "-m", "merge side", "side")
    commit("last")
    return tmp_path


def hash_of(folder: pathlib.Path, name: str) -> str:
    return git(folder, "rev-parse", name)


def test_a_merge_is_one_commit_of_the_row(repository: pathlib.Path) -> None:
    found = commits.between(hash_of(repository, "main~3"), hash_of(repository, "main"), repository)
    assert [one.subject for one in found] == ["start", "one", "merge side", "last"]
    assert found[-1].hash == hash_of(repository, "main")
    assert found[0].author.startswith("Bö") and found[0].date.startswith("20")


def test_ancestors_are_told_from_strangers(repository: pathlib.Path) -> None:
    start, last, side = (hash_of(repository, name) for name in ("main~3", "main", "side"))
    assert commits.is_ancestor(start, last, repository)
    assert commits.is_ancestor(side, last, repository)
    assert not commits.is_ancestor(last, start, repository)
    with pytest.raises(UserError, match="fetch both"):
        commits.is_ancestor("0" * 40, last, repository)


@pytest.mark.parametrize(("culprit", "gone"), [("main~2", {"one"}), ("main~1", {"side-1", "side-2"})])
def test_a_commit_or_a_merge_is_taken_back_in_a_clone(
    culprit: str, gone: set[str], repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    before = git(repository, "for-each-ref"), git(repository, "status", "--porcelain")
    tip = hash_of(repository, "main")
    folders = [tmp_path_factory.mktemp("clone") / "clone" for _ in range(2)]
    found = [commits.without(hash_of(repository, culprit), tip, repository, folder, os.environ) for folder in folders]
    assert found[0] is not None and found[0] == found[1], "the same commit at any time"
    files = set(git(folders[0], "ls-tree", "--name-only", found[0]).split())
    assert files == {"start", "one", "side-1", "side-2", "last"} - gone
    assert (git(repository, "for-each-ref"), git(repository, "status", "--porcelain")) == before


def test_a_revert_that_conflicts_is_none(repository: pathlib.Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    (repository / "one").write_text("another")
    git(repository, "commit", "--quiet", "--all", "-m", "on top")
    culprit, tip = hash_of(repository, "main~3"), hash_of(repository, "main")
    assert commits.without(culprit, tip, repository, tmp_path_factory.mktemp("clone") / "clone", os.environ) is None
