"""A search through a repository with real builds, killed halfway; and what it refuses."""

from __future__ import annotations

import os
import pathlib
import signal
import subprocess
import sys

import msgspec
import pytest

from bot import bisect
from tests import rows
from tests.commandline import environment, one_sentence, torchwarden

COMMITS, CULPRIT = 5, 3


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> pathlib.Path:
    """Five commits beside the first: the third makes a step four times as long, the first cannot be built."""
    return rows.repository(
        tmp_path_factory.mktemp("searched") / "repository", COMMITS, {"first": {CULPRIT: 3.0}}, broken={1}
    )


def _seen(folder: pathlib.Path) -> list[str]:
    """All that a user could notice of the repository: head, branches, worktrees, changes."""
    words = (
        ("rev-parse", "HEAD"),
        ("for-each-ref",),
        ("worktree", "list"),
        ("status", "--porcelain"),
        ("stash", "list"),
    )
    return [subprocess.run(["git", *one], cwd=folder, capture_output=True, text=True).stdout for one in words]


@pytest.mark.slow
def test_a_search_that_is_killed_goes_on_and_proves_its_culprit(repository: pathlib.Path) -> None:
    pytest.importorskip("torch")
    before = _seen(repository)
    # What tools put into a home folder is no change of the repository.
    home = repository.parent
    options = ("bisect", "--good", f"HEAD~{COMMITS}", "--bad", "HEAD", "--state", "out/state.json", "--resume")
    options += (*rows.OPTIONS, "--nurseries", "1", "--budget", "2s", "--json", "out/result.json")
    (repository / "out").mkdir()
    process = subprocess.Popen(
        [sys.executable, "-m", "bot.cli", *options],
        cwd=repository,
        env=environment(home),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    tip = rows.hashes(repository)[COMMITS][:12]
    probing = ""
    for line in process.stderr:
        probing = line if line.startswith("probe") else probing
        # In the midst of measuring a build between the ends.
        if line.startswith("measuring") and tip not in probing:
            break
    os.kill(process.pid, signal.SIGKILL)
    process.communicate()
    state = repository / "out" / "state.json"
    known = bisect.read(state)
    assert len(known.probes) >= 1 and len(known.makings) >= 3

    refused = torchwarden(*options, "--threshold", "3%", cwd=repository, HOME=str(home))
    assert refused.returncode == 2
    assert "was begun with --threshold left out, not 3%" in one_sentence(refused.stderr)

    done = torchwarden(*options, cwd=repository, timeout=900, HOME=str(home))
    assert done.returncode == 1, done.stdout + done.stderr
    commits = rows.hashes(repository)
    after = bisect.read(state)
    assert after.probes[: len(known.probes)] == known.probes
    assert after.makings[: len(known.makings)] == known.makings
    assert [trial.kind for trial in after.trials] == ["parent", "revert"]
    found = msgspec.json.decode((repository / "out" / "result.json").read_bytes())
    (culprit,) = found["tests"][0]["culprits"]
    assert [one["commit"] for one in culprit["range"]] == [commits[CULPRIT]]
    assert culprit["parent"]["commit"] == commits[CULPRIT - 1]
    assert culprit["proven"] and culprit["probability"] > 0.95
    assert [proof["shown"] for proof in culprit["proofs"]] == [True, True]
    assert culprit["proofs"][0]["change"]["change"] > 1 > 0 > culprit["proofs"][1]["change"]["change"]
    assert commits[CULPRIT] in done.stdout and "Ada Example" in done.stdout and "+300%" in done.stdout
    assert f"--good git:{commits[0]} --bad git:{commits[COMMITS]}" in found["command"]
    assert _seen(repository) == before


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--good", "HEAD", "--bad", "HEAD"), "nothing between them"),
        (("--good", "nowhere", "--bad", "HEAD"), "no commit 'nowhere'"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--over", "weeks"), "no kind of row 'weeks'"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--candidate", "x"), "--over list"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--inject", "a=5%"), "--inject"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--resume"), "--resume needs --state"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--confidence", "20%"), "--confidence '20%' is out of range"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--state", "REMARKS"), "REMARKS exists already"),
        (("--good", "HEAD~1", "--bad", "HEAD", "--state", "REMARKS", "--resume"), "no state of a search"),
        (("--good", "2026-13-01", "--bad", "2026-11-02", "--over", "nightlies"), "names no day"),
        (("--good", "torch==2.13.0", "--bad", "torch==2.13.0", "--over", "list"), "names one twice"),
        (("--good", "a", "--bad", "b", "--over", "list", "--candidates", "absent"), "absent cannot be read"),
        (("--bad", "HEAD"), "missing option"),
    ],
)
def test_what_cannot_be_meant_is_one_sentence(options: tuple[str, ...], said: str, repository: pathlib.Path) -> None:
    done = torchwarden("bisect", *options, *rows.OPTIONS, cwd=repository)
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in one_sentence(done.stderr)
