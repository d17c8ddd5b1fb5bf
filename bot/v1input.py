"""V1's own input: the JSON of pytest-benchmark, or a plain map of test names to norms.

Promises seconds by test name as they stand in the file, or one sentence that says where it is wrong.
"""

from __future__ import annotations

from pathlib import Path

from bot import inputs
from harness.errors import UserError
from harness.formats import foreign, pytest_benchmark
from harness.testname import quoted

MAX_BYTES = 256 * 2**20
"""Largest file that is read; one with every raw sample of V1's suite is a few MiB."""


def load(path: Path) -> dict[str, float]:
    """Seconds by test name from V1's own input: a pytest-benchmark JSON (`benchmarks[].name`, `.stats.mean`) or a
    plain JSON map `{name: {"norm": seconds}}`.

    Names are kept as they stand, also those outside V1's grammar (another benchmark in the same pytest run). Raises
    UserError naming file and field: unreadable, over 256 MiB, not JSON, another layout, a name twice, seconds that
    are not a positive finite number, no test at all.
    """
    document = _document(path)
    if "benchmarks" in document:
        found = pytest_benchmark.entries(str(path), document["benchmarks"])
        times = dict(foreign.unique(str(path), [(entry.name, entry.mean) for entry in found]))
    else:
        times = {}
        for name, entry in document.items():
            field = f"{quoted(name)}.norm"
            if not isinstance(entry, dict) or "norm" not in entry:
                raise UserError(
                    f"{path}: {field} is missing; "
                    "give a pytest-benchmark JSON or a map of test names to {norm: seconds}."
                )
            times[name] = pytest_benchmark.positive_seconds(str(path), field, entry["norm"])
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
    document = foreign.document(str(path), foreign.text(str(path), content))
    if not isinstance(document, dict):
        raise UserError(f"{path}: is not a JSON object; give a pytest-benchmark JSON or a map of test names to norms.")
    return document
