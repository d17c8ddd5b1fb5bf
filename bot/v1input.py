"""V1's own input: the JSON of pytest-benchmark, or a plain map of test names to norms.

Promises seconds by test name as they stand in the file, or one sentence that says where it is wrong.
"""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import TypeVar

from bot import inputs
from bot.score import LONGEST_SECONDS
from bot.testname import quoted
from harness.errors import UserError

MAX_BYTES = 256 * 2**20
"""Largest file that is read; one with every raw sample of V1's suite is a few MiB."""

_T = TypeVar("_T")


def load(path: Path) -> dict[str, float]:
    """Seconds by test name from V1's own input: a pytest-benchmark JSON (`benchmarks[].name`, `.stats.mean`) or a
    plain JSON map `{name: {"norm": seconds}}`.

    Names are kept as they stand, also those outside V1's grammar (another benchmark in the same pytest run). Raises
    UserError naming file and field: unreadable, over 256 MiB, not JSON, another layout, a name twice, seconds that
    are not a positive finite number, no test at all.
    """
    document = _document(path)
    if "benchmarks" in document:
        times = dict(_unique(path, _pytest_benchmarks(path, document["benchmarks"])))
    else:
        times = {}
        for name, entry in document.items():
            field = f"{quoted(name)}.norm"
            if not isinstance(entry, dict) or "norm" not in entry:
                raise UserError(
                    f"{path}: {field} is missing; "
                    "give a pytest-benchmark JSON or a map of test names to {norm: seconds}."
                )
            times[name] = _json_seconds(path, field, entry["norm"])
    if not times:
        raise UserError(f"{path}: holds no test; give the JSON of a run that measured something.")
    return times


def _document(path: Path) -> dict[str, object]:
    content = inputs.read(
        path,
        MAX_BYTES,
        wanted="give the JSON file of a run.",
        too_large="leave out --benchmark-save-data.",
    )

    def once(pairs: list[tuple[str, object]]) -> dict[str, object]:
        return dict(_unique(path, pairs))

    try:
        document = json.loads(content.decode("utf-8-sig"), object_pairs_hook=once)
    except json.JSONDecodeError as error:
        raise UserError(
            f"{path}: line {error.lineno} is not JSON ({error.msg}); give the whole file of a run."
        ) from error
    except (UnicodeDecodeError, RecursionError, ValueError) as error:
        raise UserError(f"{path}: is not a JSON file of a run; give one that pytest-benchmark wrote.") from error
    if not isinstance(document, dict):
        raise UserError(f"{path}: is not a JSON object; give a pytest-benchmark JSON or a map of test names to norms.")
    return document


def _pytest_benchmarks(path: Path, benchmarks: object) -> list[tuple[str, float]]:
    if not isinstance(benchmarks, list):
        raise UserError(f"{path}: benchmarks is not a list; give the file as pytest-benchmark wrote it.")
    times = []
    for number, benchmark in enumerate(benchmarks):
        field = f"benchmarks[{number}]"
        name = benchmark.get("name") if isinstance(benchmark, dict) else None
        if not isinstance(name, str):
            raise UserError(f"{path}: {field}.name is missing or not text; give the file as pytest-benchmark wrote it.")
        stats = benchmark.get("stats")
        if not isinstance(stats, dict) or "mean" not in stats:
            raise UserError(f"{path}: {field}.stats.mean is missing; give the file as pytest-benchmark wrote it.")
        times.append((name, _json_seconds(path, f"{field}.stats.mean of {quoted(name)}", stats["mean"])))
    return times


def _json_seconds(path: Path, field: str, value: object) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value <= LONGEST_SECONDS:
        return float(value)
    raise UserError(f"{path}: {field} is {quoted(value)}; give a positive number of seconds.")


def _unique(path: Path, pairs: list[tuple[str, _T]]) -> list[tuple[str, _T]]:
    counts = Counter(name for name, _ in pairs)
    twice = [name for name, count in counts.items() if count > 1]
    if twice:
        raise UserError(f"{path}: {quoted(twice[0])} stands more than once; keep one of them.")
    return pairs
