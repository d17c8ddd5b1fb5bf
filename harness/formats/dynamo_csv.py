"""The CSV files of the TorchDynamo benchmark harness, as the performance dashboard and its runner take them.

Promises one performance file per compiler, suite, dtype, mode and device, with the harness's columns in their order,
and an accuracy file beside it where there is anything to say about accuracy. A test that failed, or has no result, is
a row of zeros in the first and its status in the second, so that it lowers the pass rate and does not vanish.

In a performance file `speedup` is eager's median over the compiled lane's, `abs_latency` the latter in ms,
`compilation_latency` seconds of a cold compilation, memory is in units of 10^9 bytes. The column of the same name in an
accuracy file is another figure (the sum of the compiler's own phases): it is neither written nor read. A figure that is
unknown is an empty cell, and so are zeros read as "no reading" where nothing can be zero.

Readers key by header: columns may lack, stand in any order or be unknown to us; a file without a header is taken for
the columns of before there was one. Of a test that stands twice the last row counts, as the harness appends.
"""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness import records
from harness.errors import UserError
from harness.formats import dashboard, exported, foreign, imported
from harness.formats.dashboard import Name
from harness.formats.upload import Upload
from harness.modenames import EAGER, join_mode
from harness.records import Accuracy, Compilation, LaneRecord, Run
from harness.testname import TestName, quoted

GIGABYTE = 1e9

COUNTS = (
    "calls_captured",
    "unique_graphs",
    "fallbacks_to_eager",
    "graph_breaks",
    "unique_graph_breaks",
    "autograd_captures",
    "autograd_compiles",
    "cudagraph_skips",
)
"""Columns that are fields of `Compilation` of the same name."""

_KEYS = ("dev", "name", "batch_size")
_FIGURES = (
    "speedup",
    "abs_latency",
    "compilation_latency",
    "compression_ratio",
    "eager_peak_mem",
    "dynamo_peak_mem",
)
PERFORMANCE = (*_KEYS, *_FIGURES, *COUNTS)
ACCURACY = (*_KEYS, "accuracy", *COUNTS, "compilation_latency")
COLUMNS: Mapping[str, tuple[str, ...]] = {"performance": PERFORMANCE, "accuracy": ACCURACY}

OLDEST: Mapping[str, tuple[str, ...]] = {
    "performance": (*_KEYS, "speedup", "abs_latency", "compilation_latency", "compression_ratio"),
    "accuracy": (*_KEYS, "accuracy"),
}
"""The columns of files from before there was a header."""

_DEVICES = ("cpu", "cuda", "xpu", "hpu", "mps", "rocm", "xla", "mtia")


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """The files by name. Raises UserError when two tests would share a row."""
    files: dict[str, list[list[str]]] = {}
    machine = run.header.machine
    owners: dict[tuple[str, str], str] = {}
    for row in exported.rows(run):
        name = dashboard.name_of(row.suite, row.mode, row.type, row.device, machine)
        kinds = []
        if not row.failed or row.status != "pass":
            kinds.append(("performance", _performance(row)))
        if row.word is not None:
            kinds.append(("accuracy", _accuracy(row, row.word)))
        for kind, cells in kinds:
            file = f"{name.stem}_{kind}.csv"
            if (first := owners.setdefault((file, row.benchmark), row.test)) != row.test:
                raise UserError(f"{quoted(first)} and {quoted(row.test)} would share a row of {file}; rename one.")
            keys = [dashboard.plain_device(row.device), row.benchmark]
            files.setdefault(file, [list(COLUMNS[kind])]).append([*keys, *cells])
    return {file: _text(lines) for file, lines in files.items()}


def _performance(row: exported.Row) -> list[str]:
    if row.failed:
        return ["0", "0.0", "0.0"]
    ours, theirs = row.peak_memory_bytes, row.eager_memory_bytes
    figures = {
        "speedup": row.speedup,
        "abs_latency": None if row.seconds is None else row.seconds * 1e3,
        "compilation_latency": row.compile_seconds,
        "compression_ratio": theirs / ours if ours and theirs else None,
        "eager_peak_mem": None if theirs is None else theirs / GIGABYTE,
        "dynamo_peak_mem": None if ours is None else ours / GIGABYTE,
    }
    return [str(row.items), *(number(figures[column]) for column in _FIGURES), *_counts(row)]


def _accuracy(row: exported.Row, word: str) -> list[str]:
    if row.failed:
        return ["0", word]
    return [str(row.items), word, *_counts(row), ""]


def _counts(row: exported.Row) -> list[str]:
    found = [getattr(row.counts, column) for column in COUNTS]
    return ["" if count is None else str(count) for count in found]


def number(value: float | None) -> str:
    """Six decimals, as the harness writes; more where they would leave nothing, and nothing for None."""
    if value is None:
        return ""
    shown = f"{value:.6f}"
    return shown if float(shown) != 0 or value == 0 else f"{value:.6e}"


def _text(rows: list[list[str]]) -> bytes:
    out = io.StringIO()
    # As the harness has it: a row that is shorter than the header is filled with zeros.
    width = len(rows[0])
    csv.writer(out, lineterminator="\n").writerows(row + ["0"] * (width - len(row)) for row in rows)
    return out.getvalue().encode()


class _Row:
    """The cells of one row by column. `where` names its place for messages."""

    def __init__(self, where: str, columns: Sequence[str], cells: Sequence[str]) -> None:
        self.where = where
        # The first of two columns of a name counts; a row may be shorter or longer than the header.
        self._cells = dict(reversed(list(zip(columns, cells, strict=False))))

    def text(self, column: str) -> str:
        return self._cells.get(column, "").strip()

    def figure(self, column: str) -> float | None:
        """None for an absent column, an empty cell and zero, which stands for "no reading"."""
        cell = self.text(column)
        return (foreign.figure(f"{self.where}, {column}", cell) or None) if cell else None

    def count(self, column: str) -> int | None:
        cell = self.text(column)
        return foreign.whole(f"{self.where}, {column}", cell) if cell else None


def read(files: Mapping[str, bytes]) -> Run:
    """The run that the files hold; performance and accuracy of one test become one test.

    Raises UserError that names file and row.
    """
    performance: dict[TestName, _Row] = {}
    accuracy: dict[TestName, _Row] = {}
    names: dict[TestName, Name] = {}
    for path, content in files.items():
        name, kind = _name(path)
        into = performance if kind == "performance" else accuracy
        for row in _rows(path, kind, content):
            model = foreign.name(f"{row.where}, name", row.text("name"))
            test = TestName(name.type, model, name.plain_device, name.mode)
            if names.setdefault(test, name) != name:
                foreign.refuse(row.where, f"{quoted(str(test))} is in another file too", "import them one by one")
            into[test] = row
    tests = [_test(test, name, performance.get(test), accuracy.get(test)) for test, name in names.items()]
    machine = imported.NO_MACHINE
    tokens = {name.device for name in names.values()}
    if len(tokens) > 1:
        foreign.refuse(", ".join(sorted(tokens)[:5]), "these are several machines", "import the files of each alone")
    for token in tokens:
        machine = dashboard.machine_of(token, machine)
    return imported.run("dynamo-csv", files, tests, machine=machine)


def _name(path: str) -> tuple[Name, str]:
    parsed = dashboard.parse_stem(pathlib.PurePath(path).name.removesuffix(".csv"))
    if parsed is None or parsed[1] is None:
        foreign.refuse(
            quoted(path),
            "its name does not say what it holds",
            "call it {compiler}_{suite}_{dtype}_{training or inference}_{device}_{accuracy or performance}.csv",
        )
    return parsed[0], parsed[1]


def _rows(path: str, kind: str, content: bytes) -> Iterator[_Row]:
    text = foreign.text(path, content)
    columns: Sequence[str] | None = None
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    try:
        for cells in reader:
            where = f"{path}, line {reader.line_num}"
            if not any(cell.strip() for cell in cells):
                continue
            if [cell.strip() for cell in cells[:2]] == ["dev", "name"]:
                columns = [cell.strip() for cell in cells]
                continue
            if columns is None:
                if cells[0].strip() not in _DEVICES or len(cells) < len(_KEYS) + 1:
                    foreign.refuse(
                        where, "this is no header (dev,name,...) and no row", "give the file as it was written"
                    )
                columns = OLDEST[kind]
            if len(cells) < 2:
                foreign.refuse(where, "the row has no name", "give the file as it was written")
            yield _Row(where, columns, cells)
    except csv.Error as error:
        foreign.refuse(f"{path}, line {reader.line_num}", f"is not CSV ({error})", "give the file as it was written")


def _test(test: TestName, name: Name, performance: _Row | None, accuracy: _Row | None) -> records.Test:
    lanes = _lanes(name, performance, accuracy) if performance is not None else []
    checked = _checked(accuracy) if accuracy is not None else None
    status, reason = _status(performance, lanes, checked)
    return imported.test(test, suite=name.suite, status=status, reason=reason, lanes=lanes, accuracy=checked)


def _status(
    performance: _Row | None, lanes: Sequence[LaneRecord], checked: Accuracy | None
) -> tuple[records.Status, str]:
    if checked is not None and not checked.passed:
        return imported.status_of(checked.status), f"accuracy: {checked.status}"
    if performance is not None and not lanes:
        return "fail_to_run", "the performance file has a row of zeros for it"
    return "pass", ""


def _checked(row: _Row) -> Accuracy:
    return Accuracy(status=foreign.status(f"{row.where}, accuracy", row.text("accuracy")))


def _lanes(name: Name, row: _Row, accuracy: _Row | None) -> list[LaneRecord]:
    """The compiled lane, and eager's as far as it follows from the speedup; none for a row of zeros."""
    speedup, latency = row.figure("speedup"), row.figure("abs_latency")
    if latency is None:
        return []
    seconds = foreign.seconds(f"{row.where}, abs_latency", row.text("abs_latency"), 1e-3)
    items = row.count("batch_size") or 1
    counts: dict[str, Any] = {
        column: found for column in COUNTS if (found := _count(row, accuracy, column)) is not None
    }
    cold = _cold_seconds(row)
    own = imported.lane(
        name.mode,
        [(seconds,)],
        items=items,
        peak_memory_bytes=_bytes(row, "dynamo_peak_mem"),
        compilation=Compilation(cold_seconds=cold, **counts) if counts or cold is not None else None,
    )
    eager = join_mode(EAGER, name.precision)
    if speedup is None or eager == name.mode:
        return [own]
    theirs = foreign.seconds(f"{row.where}, speedup", speedup * seconds)
    return [
        imported.lane(eager, [(theirs,)], items=items, peak_memory_bytes=_bytes(row, "eager_peak_mem")),
        own,
    ]


def _count(row: _Row, accuracy: _Row | None, column: str) -> int | None:
    found = row.count(column)
    return accuracy.count(column) if found is None and accuracy is not None else found


def _cold_seconds(row: _Row) -> float | None:
    # A difference of two measured times: the harness itself writes less than nothing when eager warmed up slower.
    if row.text("compilation_latency").startswith("-"):
        foreign.figure(f"{row.where}, compilation_latency", row.text("compilation_latency")[1:])
        return None
    return row.figure("compilation_latency")


def _bytes(row: _Row, column: str) -> int | None:
    found = row.figure(column)
    return None if found is None else round(found * GIGABYTE)
