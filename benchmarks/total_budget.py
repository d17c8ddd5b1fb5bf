"""What it costs to decide a plan: one shared budget against fixed repeats, side by side on the same tests.

Thirty tests, two of them slowed by 10 % of real extra work. `shared` is `torchwarden run --total-budget`, which stops
a test when it is decided. The others give every test 3 launches of 20 rounds, base and head interleaved as always:
`fixed, processes` starts each launch's two processes anew and imports everything, as a runner with a process per model
does; `fixed, forked` forks them from nurseries that serve all tests, so that only the repeats differ. The judge is the
same for all, so a method that is too short shows in tests that are undecided or wrong.

    python benchmarks/total_budget.py --cpus 1 --out out/total-budget
"""

from __future__ import annotations

import argparse
import datetime
import os
import pathlib
import tempfile
import time
from collections import Counter
from collections.abc import Iterator

import msgspec
from entries import judged

from bot.cli import measuring
from bot.cli.options import Builds, Method, Selection
from harness import interleave, records, session
from harness.plan import Group

ROUNDS, LAUNCHES = 20, 3
SLOWED = ("test_eval[dlrm-cpu-eager]", "test_train[tts_angular-cpu-eager]")
MODELS = (
    *("LearningToPaint", "drq", "soft_actor_critic", "pytorch_stargan", "BERT_pytorch", "fastNLP", "pytorch_struct"),
    *("attention_is_all_you_need_pytorch", "dlrm", "nvidia_deeprecommender", "demucs", "tts_angular"),
    *("maml_omniglot", "resnet18", "alexnet"),
)


class Fixed(interleave.Interleaving):
    """As many rounds in every launch as there are in a fixed plan."""

    def _wanted_rounds(self, round_seconds: float) -> int:
        return ROUNDS


class Quiet:
    """An observer that says nothing."""

    def started(self, tests: int, done: int) -> None: ...
    def group_begins(self, group: Group) -> None: ...
    def launched(self, progress: interleave.Progress) -> None: ...
    def test_ended(self, test: records.Test) -> None: ...


def main() -> None:
    """Measure what is not measured yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cpus", default=None)
    parser.add_argument("--total-budget", default="30m")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/total-budget"))
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    prepared = measuring.prepare(
        Selection(suite=["torchbench"], only=rf"\[({'|'.join(MODELS)})-"),
        Builds(base="old=current", head="current"),
        Method(cpus=arguments.cpus, total_budget=arguments.total_budget, inject=[f"{test}=10%" for test in SLOWED]),
        command="benchmarks/total_budget.py",
    )
    print(f"{len(prepared.plan.tests)} tests, {len(SLOWED)} of them slower by 10 %")
    took = {}
    for name, way in (("shared", shared), ("fixed, forked", forked), ("fixed, processes", processes)):
        path = arguments.out / f"{name.replace(', ', '-')}.jsonl"
        if not path.exists():
            way(prepared, path)
        took[name] = records.read(path).footers[-1].elapsed_seconds
        verdict = judged(path)
        outcomes = Counter(entry.outcome for entry in verdict.tests)
        wrong = [entry.test for entry in verdict.tests if entry.signal != (entry.test in SLOWED) and entry.signal]
        found = sum(entry.outcome == "regressed" and entry.test in SLOWED for entry in verdict.tests)
        print(
            f"{name:18} {took[name] / 60:6.2f} min  found {found} of {len(SLOWED)}  false signals {len(wrong)}"
            f"  {dict(outcomes)}  ratio to it {took['shared'] / took[name]:.2f}"
        )


def shared(prepared: session.Session, path: pathlib.Path) -> None:
    """One budget for all."""
    session.run(prepared, path, Quiet())


def forked(prepared: session.Session, path: pathlib.Path) -> None:
    """Fixed repeats from nurseries that are started once."""

    def measured() -> Iterator[records.Test]:
        with session.opened(prepared, prepared.groups) as pool:
            for turn, group in enumerate(prepared.groups):
                one = _fixed(prepared, group, pool, turn)
                for _ in range(LAUNCHES):
                    one.launch()
                yield from one.tests()

    _write(prepared, path, measured())


def processes(prepared: session.Session, path: pathlib.Path) -> None:
    """Fixed repeats, each in processes that are started for it and import what the test needs."""
    alone = msgspec.structs.replace(prepared.plan, nurseries=1)
    single = session.Session(alone, prepared.groups, prepared.builds, prepared.machine, dict(os.environ), _folder())

    def measured() -> Iterator[records.Test]:
        for turn, group in enumerate(prepared.groups):
            one = None
            for index in range(LAUNCHES):
                with session.opened(single, [group]) as pool:
                    if one is None:
                        one = _fixed(single, group, pool, turn)
                    one._pool = pool
                    one.launches = index
                    one.launch()
            assert one is not None
            yield from one.tests()

    _write(single, path, measured())


def _folder() -> pathlib.Path:
    return pathlib.Path(tempfile.gettempdir())


def _fixed(prepared: session.Session, group: Group, pool: object, turn: int) -> Fixed:
    return Fixed(group, pool, prepared.plan, turn, Quiet(), limit_seconds=3600.0, share_seconds=60.0)  # type: ignore[arg-type]


def _write(prepared: session.Session, path: pathlib.Path, tests: Iterator[records.Test]) -> None:
    began = time.monotonic()
    with records.Writer(path) as writer:
        writer.write(session.new_header(prepared))
        count = 0
        for test in tests:
            writer.write(test)
            count += 1
        now = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
        writer.write(records.Footer(finished=now, elapsed_seconds=time.monotonic() - began, tests=count))


if __name__ == "__main__":
    main()
