"""`torchwarden compilers` on real benchmarks with backends that work and that do not."""

from __future__ import annotations

import pathlib

import pytest

from harness import records
from tests import sessions
from tests.commandline import torchwarden

pytest.importorskip("torch")
pytestmark = pytest.mark.slow

SUITE = str(sessions.SUITES / "compilable.py")
OPTIONS = ("compilers", "--suite", SUITE, "--type", "eval", "--budget", "2s", "--nurseries", "1")


def test_a_whole_run_is_summed_up_drawn_resumed_and_compared_with(tmp_path: pathlib.Path) -> None:
    options = (*OPTIONS, "--only", "plain", "--backends", "backends:fine,backends:noisy", "--dtype", "float32,bf16")
    done = torchwarden(*options, "--out-dir", "one", cwd=tmp_path)
    assert done.returncode == 3, done.stdout + done.stderr
    (path,) = (tmp_path / "one").glob("run-*.jsonl")
    run = records.read(path)
    statuses = {test.mode: (test.status, test.accuracy and test.accuracy.status) for test in run.tests}
    assert statuses["eager_bf16"] == statuses["backends:fine"] == statuses["backends:fine_bf16"] == ("pass", "pass")
    assert statuses["backends:noisy"] == ("fail_accuracy", "fail_accuracy")
    text = (tmp_path / "one" / "summary.md").read_text()
    assert text in done.stdout
    assert "| `backends:fine` | 100 %, 1/1 |" in text
    assert "| `backends:noisy` | 0 %, 0/1 |" in text
    assert len(list((tmp_path / "one" / "plots").glob("speedup-compilable-eval-*.svg"))) == 2

    again = torchwarden(*options, "--out-dir", "one", "--resume", str(path), cwd=tmp_path)
    assert again.returncode == 3, again.stdout + again.stderr
    assert [test.test for test in records.read(path).tests] == [test.test for test in run.tests]

    compared = torchwarden(
        *(*OPTIONS, "--only", "plain", "--backends", "backends:noisy", "--out-dir", "two", "--previous", str(path)),
        cwd=tmp_path,
    )
    # It failed before too: that is no regression, and no pass.
    assert compared.returncode == 3, compared.stdout + compared.stderr
    assert (tmp_path / "two" / "plots" / "over-time-eval.svg").exists()


def test_shards_share_the_plan_and_not_the_tests(tmp_path: pathlib.Path) -> None:
    options = ("run", "--suite", SUITE, "--type", "eval", "--only", "plain|lenient|single", "--nurseries", "1")
    for number in (1, 2):
        done = torchwarden(
            *options, "--budget", "1s", "--shard", f"{number}/2", "--out", f"{number}.jsonl", cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout + done.stderr
    joined = records.join([tmp_path / "1.jsonl", tmp_path / "2.jsonl"])
    names = [{test.benchmark for test in records.read(tmp_path / f"{n}.jsonl").tests} for n in (1, 2)]
    assert names[0] | names[1] == {"plain", "lenient", "single"}
    assert not names[0] & names[1]
    assert joined.complete and len(joined.tests) == 3


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--policy", "mine"), "no policy 'mine'"),
        (("--backends", "magic"), "no mode 'magic'"),
        (("--dtype", "fp8"), "no precision 'fp8'"),
        (("--shard", "3/2"), "write the first of four as 1/4"),
        (("--shard", "1/99"), "do not make 99 shards"),
        (("--previous", "none.jsonl"), "none.jsonl cannot be read"),
        (("--durations", "none.jsonl", "--shard", "1/2"), "none.jsonl cannot be read"),
        (("--resume", "none.jsonl"), "none.jsonl is not there"),
        (("--launch-timeout", "0"), "--launch-timeout '0'"),
    ],
)
def test_a_mistake_is_one_sentence_and_leaves_nothing(
    options: tuple[str, ...], said: str, tmp_path: pathlib.Path
) -> None:
    done = torchwarden(*OPTIONS, *options, cwd=tmp_path)
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert list(tmp_path.iterdir()) == []
