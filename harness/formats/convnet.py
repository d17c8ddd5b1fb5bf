"""What the convnet benchmark prints: mean milliseconds of forward, backward, update and their total, and images/s.

Promises a file per device, mode and kind of step, `convnet-<device>-<mode>-<inference|training>.txt`, in the layout of
the benchmark. Its total is forward and backward: the update is not in it. Inference has 0.00 in the other rows. The
shape of the input is not known to a run; in its place stands the batch. Of a train step whose phases were not measured
only the total is printed, which then holds the update. Times have two decimals, and more where fewer than four digits
would be left. A test that failed has a line `### not measured: <status>` in place of its rows.

Reading gives one sample per model: forward, or forward, backward and update, as our own train step has it.
"""

from __future__ import annotations

import math
import pathlib
import re
import statistics
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import msgspec

from harness import records
from harness.formats import exported, foreign, imported
from harness.formats.upload import Upload
from harness.modenames import EAGER
from harness.records import LaneRecord, Run
from harness.testname import TestName, quoted

PHASES = ("forward", "backward", "update")
KINDS: Mapping[str, str] = {"eval": "inference", "train": "training"}
NOT_MEASURED = "### not measured: "

_HEAD = re.compile(
    r"ModelType:\s*(?P<model>.{1,300}?),\s*Kernels:\s*(?P<kernel>\w{1,40})\s*Input shape:\s*(?P<shape>.*)"
)
_ROW = re.compile(r"(?P<kernel>\w{1,40})\s+:(?P<phase>\w{1,40}):\s+(?P<ms>\S{1,400})\s+\(ms\)(?:\s+\S+\s+\(imgs/s\))?")
_FILE = re.compile(r"convnet-(?P<device>[A-Za-z0-9]+)-(?P<mode>\w[\w.+-]*)-(?P<kind>inference|training)\.txt", re.ASCII)
_ABOUT: Mapping[str, str] = {
    "Running on device:": "cpu",
    "Running on torch:": "torch",
    "Running on torchvision:": "vision",
}


def write(run: Run, upload: Upload) -> dict[str, bytes]:
    """The files by name; none where the run has neither eval nor train tests."""
    files: dict[str, list[str]] = {}
    for row in exported.rows(run):
        if row.type in KINDS:
            file = f"convnet-{foreign.as_word(row.device)}-{foreign.as_word(row.mode)}-{KINDS[row.type]}.txt"
            files.setdefault(file, _about(run)).extend(["", *_block(row)])
    return {file: ("\n".join(lines) + "\n").encode() for file, lines in files.items()}


def _about(run: Run) -> list[str]:
    machine, plan = run.header.machine, run.header.plan
    build = next((one for one in run.header.builds if one.name == plan.head), imported.NO_BUILD)
    device = machine.gpus[0] if machine.gpus and plan.device != "cpu" else machine.cpu_model
    found = [
        f"Running on device:  {foreign.sentence(device)}",
        f"Running on torch: {foreign.sentence(build.torch_version)}",
    ]
    vision = build.packages.get("torchvision")
    return [*found, f"Running on torchvision: {foreign.sentence(vision)}"] if vision else found


def _block(row: exported.Row) -> Iterator[str]:
    kernel = "nn" if row.device == "cpu" else "cudnn"
    shape = str(row.items) if row.lane is not None else imported.UNKNOWN
    yield f"ModelType: {foreign.sentence(row.benchmark)}, Kernels: {kernel} Input shape: {shape}"
    if row.lane is None:
        yield f"{NOT_MEASURED}{row.word or exported.ABSENT}"
        return
    times = _times(row.lane, row.type)
    total = times.get("forward", 0.0) + times.get("backward", 0.0) if "forward" in times else times["total"]
    for phase, seconds in (*((phase, times[phase]) for phase in PHASES if phase in times), ("total", total)):
        rate = f" {row.items / seconds:10.2f} (imgs/s)" if phase in ("forward", "total") and seconds else ""
        yield f"{kernel:<30} {f':{phase}:':>10} {_milliseconds(seconds):>10} (ms){rate}"


def _times(lane: LaneRecord, type: str) -> dict[str, float]:
    """Mean seconds by phase; of the whole step where its phases are not known."""
    whole = statistics.fmean(seconds for launch in lane.launches for seconds in launch.seconds)
    if type == "eval":
        return {"forward": whole, "backward": 0.0, "update": 0.0}
    phases = {
        phase: [seconds for launch in lane.launches for seconds in launch.phases.get(phase, ())] for phase in PHASES
    }
    if not phases["forward"] or not all(seconds >= 0 for every in phases.values() for seconds in every):
        return {"total": whole}
    return {phase: statistics.fmean(every) if every else 0.0 for phase, every in phases.items()}


def _milliseconds(seconds: float) -> str:
    value = seconds * 1e3
    decimals = 2 if value == 0 or value >= 10 else min(2 - math.floor(math.log10(value)) + 1, 12)
    return f"{value:.{decimals}f}"


@dataclass
class _Block:
    """What stands below one head line."""

    where: str
    model: str
    items: int
    device: str
    mode: str
    kind: str | None
    milliseconds: dict[str, float] = field(default_factory=dict)
    word: str | None = None


def read(files: Mapping[str, bytes]) -> Run:
    """The run that the blocks tell; text around them is passed over. Raises UserError that names file and line."""
    about: dict[str, str] = {}
    blocks: list[_Block] = []
    for path, content in files.items():
        named = _FILE.fullmatch(pathlib.PurePath(path).name)
        here: _Block | None = None
        for number, line in foreign.lines(foreign.text(path, content)):
            where, line = f"{path}, line {number}", line.strip()[:2000]
            if (head := _HEAD.fullmatch(line)) is not None:
                here = _block_of(where, head, named)
                blocks.append(here)
            elif here is not None and line.startswith(NOT_MEASURED):
                here.word = foreign.status(where, line.removeprefix(NOT_MEASURED).strip())
            elif here is not None and (row := _ROW.fullmatch(line)) is not None:
                if row["phase"] in here.milliseconds:
                    foreign.refuse(where, f"{quoted(row['phase'])} stands twice", "keep one of them")
                here.milliseconds[row["phase"]] = foreign.figure(where, row["ms"])
            for start, key in _ABOUT.items():
                if line.startswith(start):
                    about.setdefault(key, foreign.sentence(line.removeprefix(start)))
    machine = msgspec.structs.replace(imported.NO_MACHINE, cpu_model=about.get("cpu") or imported.UNKNOWN)
    build = msgspec.structs.replace(
        imported.NO_BUILD,
        torch_version=about.get("torch") or imported.UNKNOWN,
        packages={"torchvision": about["vision"]} if about.get("vision") else {},
    )
    return imported.run("convnet", files, [_test(block) for block in blocks], machine=machine, build=build)


def _block_of(where: str, head: re.Match[str], named: re.Match[str] | None) -> _Block:
    batch = re.match(r"\d{1,9}", head["shape"], re.ASCII)
    return _Block(
        where=where,
        model=foreign.name(where, head["model"]),
        items=int(batch[0]) if batch else 1,
        device=named["device"] if named else "cpu" if head["kernel"] == "nn" else "cuda",
        mode=named["mode"] if named else EAGER,
        kind=named["kind"] if named else None,
    )


def _test(block: _Block) -> records.Test:
    times = block.milliseconds
    kind = block.kind or ("training" if times.get("backward") else "inference")
    name = TestName(next(type for type, word in KINDS.items() if word == kind), block.model, block.device, block.mode)
    phases = {phase: times[phase] for phase in PHASES if phase in times}
    whole = sum(phases.values()) if "forward" in phases else times.get("total", 0.0)
    if block.word is not None or not whole:
        word = block.word or "its rows hold no time"
        status = imported.status_of(word)
        return imported.test(name, status="fail_to_run" if status == "pass" else status, reason=word)
    lane = imported.lane(block.mode, [(foreign.seconds(block.where, whole, 1e-3),)], items=block.items)
    if kind == "training" and "forward" in phases:
        launch = msgspec.structs.replace(
            lane.launches[0], phases={phase: (value * 1e-3,) for phase, value in phases.items()}
        )
        lane = msgspec.structs.replace(lane, launches=(launch,))
    return imported.test(name, lanes=[lane])
