"""`torchwarden score`: TorchBench's score of a run, 1000 being the reference."""

from __future__ import annotations

import json
import math
import pathlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from bot.reference import Reference
    from bot.score import Score, V1Score
    from harness.records import Run


def score(
    file: Annotated[pathlib.Path, typer.Argument(metavar="FILE", help="A run, or a pytest-benchmark JSON as V1 took.")],
    reference: Annotated[pathlib.Path, typer.Option("--reference", metavar="YAML", help="Stored norms.")],
    strict_v1: Annotated[
        bool, typer.Option("--strict-v1", help="As the original: every test of the reference must be there.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print V1's keys as JSON.")] = False,
) -> None:
    """Compute TorchBench's score against stored norms.

    Of a run's head, or of V1's own input. By default over the tests at hand, with coverage, interval and the tests that
    moved it.
    """
    from bot import reference as references
    from bot import score as scores
    from bot import v1input

    stored = references.load(reference)
    norms = references.norms(stored)
    found: Score | V1Score
    if not is_run(file):
        times = v1input.load(file)
        found = scores.strict_v1(times, norms) if strict_v1 else scores.score(times, norms)
    else:
        from harness import records

        run = records.read(file)
        if strict_v1:
            found = scores.strict_v1(mean_seconds(run), norms)
        else:
            tasks = {test.benchmark: (test.category, test.domain) for test in run.tests}
            found = scores.score(*typical_seconds(run, stored), tasks=tasks)
    for warning in getattr(found, "warnings", ()):
        print(f"torchwarden: {warning}", file=sys.stderr)
    print(json.dumps(scores.to_v1_json(found), indent=4) if as_json else "\n".join(_text(found)))


def is_run(path: pathlib.Path) -> bool:
    """Whether a file looks like a run, also a truncated or an empty one, rather than V1's input.

    Raises UserError when it cannot be read.
    """
    from harness.errors import UserError

    try:
        with path.open("rb") as file:
            head = file.read(200)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a run or a pytest-benchmark JSON") from None
    return not head or re.match(rb'\s*\{\s*"record"\s*:', head) is not None


def typical_seconds(run: Run, stored: Reference) -> tuple[dict[str, float], dict[str, float], dict[str, float]]:
    """Seconds of the head's passing tests, the norms, and the standard errors of their log ratios, by test name."""
    from bot import reference as references
    from bot.comparison import measured, norm_error

    passed = [one for one in measured(run) if one.status == "pass"]
    errors = {}
    for one in passed:
        if one.spread is not None:
            entry = stored.tests.get(one.test)
            of_norm = (norm_error(entry) if entry else None) or 0.0
            errors[one.test] = math.hypot(one.spread / math.sqrt(one.launches), of_norm)
    return {one.test: one.seconds for one in passed}, references.norms(stored), errors


def mean_seconds(run: Run) -> dict[str, float]:
    """Plain means over all samples of the head's passing tests, as V1 takes them."""
    from bot.comparison import head_lane

    means = {}
    for test in run.tests:
        lane = head_lane(test, run)
        samples = [seconds for launch in lane.launches for seconds in launch.seconds] if lane else []
        if samples and test.status == "pass":
            means[test.test] = math.fsum(samples) / len(samples)
    return means


def _text(found: Score | V1Score) -> Iterator[str]:
    from bot import numbers
    from bot.score import V1Score

    if isinstance(found, V1Score):
        yield f"score {numbers.significant(found.total, 6)} (strict V1)"
        for name in ("cpu_train", "cpu_eval", "cuda_train", "cuda_eval"):
            yield f"  {name.replace('_', '-'):<12} {numbers.significant(getattr(found, name), 6)}"
    else:
        yield f"score {numbers.measured(found.value, found.low, found.high)}"
        yield f"  over {numbers.count(found.tests, 'test')}, {numbers.percent(found.coverage)} of the weight"
        for part in found.subscores:
            if part.value is not None:
                shown = numbers.measured(part.value, part.low, part.high)
                yield f"  {part.name:<12} {shown}, {numbers.percent(part.coverage)} of its weight"
        for mover in found.movers:
            yield f"  {numbers.fixed(mover.points, 1, sign=True):>8} points  {mover.test}"
    if found.jit_speedup is not None:
        yield f"  jit speed-up {numbers.significant(found.jit_speedup, 3)}"
