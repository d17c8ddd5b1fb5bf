"""The lines of the Yitian ARM benchmark: `[TARGET] <workload> Time <seconds>`, the time of one inference.

Promises a file per device and mode, `target-<device>-<mode>.txt`, for the lines themselves say neither. Only eval tests
have a place. One that failed is a line `[FAILED] <workload> <status>`, which whoever looks for `[TARGET]` passes over.

Reading takes lines from the midst of a log. A workload that stands several times was run several times: a launch each.
Mode and device come from the file's name where it is as above, and are eager and cpu where not.
"""

from __future__ import annotations

import pathlib
import re
from collections.abc import Mapping

from harness import records
from harness.formats import exported, foreign, imported
from harness.formats.upload import Upload
from harness.modenames import EAGER
from harness.records import Run
from harness.testname import TestName

_TARGET = re.compile(r"\[TARGET\]\s+(?P<workload>.{1,300}?)\s+Time:?\s+(?P<seconds>\S{1,400})(?:\s*s(?:econds)?)?\s*")
_FAILED = re.compile(r"\[FAILED\]\s+(?P<workload>.{1,300})\s+(?P<status>\w{1,64})\s*", re.ASCII)
_FILE = re.compile(r"target-(?P<device>[A-Za-z0-9]+)-(?P<mode>\w[\w.+-]*)\.txt", re.ASCII)


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """The files by name; none where the run has no eval test."""
    files: dict[str, list[str]] = {}
    for row in exported.rows(run):
        if row.type == "eval":
            file = f"target-{foreign.as_word(row.device)}-{foreign.as_word(row.mode)}.txt"
            workload = foreign.sentence(row.benchmark)
            ended = f"[FAILED] {workload} {row.word or exported.ABSENT}"
            line = ended if row.seconds is None else f"[TARGET] {workload} Time {row.seconds:.9g}"
            files.setdefault(file, []).append(line)
    return {file: ("\n".join(lines) + "\n").encode() for file, lines in files.items()}


def read(files: Mapping[str, bytes]) -> Run:
    """The run that the lines tell. Raises UserError that names file and line."""
    seconds: dict[TestName, list[float]] = {}
    failed: dict[TestName, str] = {}
    for path, content in files.items():
        named = _FILE.fullmatch(pathlib.PurePath(path).name)
        device, mode = (named["device"], named["mode"]) if named else ("cpu", EAGER)
        for number, line in foreign.lines(foreign.text(path, content)):
            where = f"{path}, line {number}"
            if (match := _TARGET.fullmatch(line.strip())) is not None:
                test = TestName("eval", foreign.name(where, match["workload"]), device, mode)
                seconds.setdefault(test, []).append(foreign.seconds(where, match["seconds"]))
            elif (match := _FAILED.fullmatch(line.strip())) is not None:
                test = TestName("eval", foreign.name(where, match["workload"]), device, mode)
                failed[test] = match["status"]
    return imported.run("target-lines", files, _tests(seconds, failed))


def _tests(seconds: Mapping[TestName, list[float]], failed: Mapping[TestName, str]) -> list[records.Test]:
    found = []
    for test in dict.fromkeys((*seconds, *failed)):
        word = failed.get(test, "pass")
        status = imported.status_of(word)
        lanes = [imported.lane(test.mode, [(one,) for one in seconds[test]])] if test in seconds else []
        if status == "pass" and not lanes:
            status = "fail_to_run"
        found.append(imported.test(test, status=status, reason="" if status == "pass" else word, lanes=lanes))
    return found
