"""Instructions of one step of a lane, counted under `valgrind --tool=callgrind`.

A count does not depend on what else the machine does: on this project's machine two processes counted the same step to
the very instruction, and steps of one process differed by up to 0.33 % (`SPREAD`). So it tells a step that does more
work from one that does the same work more slowly.

What it cannot tell is said with it. Valgrind emulates a processor of its own and does not know AVX-512 or AMX, so
torch and oneDNN choose other kernels there than outside (`Counts.kernels` names their instruction set); a change that
lives in the native kernels alone is not seen. And it is some hundred times slower than the processor, so only short
steps on a CPU are counted. Whatever stands against a count (no valgrind, an instruction it does not know, too long a
step) is an `Uncounted` with a reason, never a failure of what asked for it.

Imports no torch; the half that runs in the build is `harness.counting`.
"""

from __future__ import annotations

import contextlib
import json
import os
import pathlib
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping

import msgspec

from harness import interleave, records
from harness.lanes import Lane, mode_of
from harness.plan import Group
from harness.pool import Pool

STEPS = 3
"""Steps that are counted, one by one: their spread says how exactly the count repeats."""
_UNCOUNTED_STEPS = 7
"""Steps of building, checking, warming up and translating, before those that count."""
SLOWDOWN = 500
"""How many times longer a step takes under Callgrind: 480 for a small convolutional net, whose kernels use AVX2."""
START_SECONDS = 60.0
"""What starting Python and importing torch takes under Valgrind: 27 s of CPU time here, twice that where it is busy."""
LIMIT_SECONDS = 240.0
"""Longest estimated time of a count that is begun."""
SPREAD = 0.005
"""Relative difference of two counts of the same step that is taken for none.

Measured with valgrind 3.19 and torch 2.14.1: 0.33 % between the steps of a process in a perceptron whose step is 4.3
million instructions, most of it before the second, 0.03 % in a convolutional net of 6.4 million, and in that net none
between two processes. Where steps vary by more, their own spread counts.
"""
SMALLEST_SHARE = 1e-4
"""Functions with a smaller share of a step's instructions are not kept."""
MOST_FUNCTIONS = 2000
LONGEST_NAME = 300


class Uncounted(Exception):
    """Instructions could not be counted; the message says why, in words that can stand behind a colon."""


class Counts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Instructions of a step: of each counted step, and by function of the last.

    `kernels` is the instruction set that torch chose its kernels for under Valgrind, as torch names it ("AVX2").
    """

    steps: tuple[int, ...]
    kernels: str = ""
    functions: dict[str, int] = msgspec.field(default_factory=dict)


class _Told(msgspec.Struct, forbid_unknown_fields=True):
    """What `harness.counting` leaves."""

    kernels: str = ""
    reason: str = ""


def estimated_seconds(step_seconds: float) -> float:
    """What counting a step takes that takes so long by itself."""
    return START_SECONDS + SLOWDOWN * (STEPS + _UNCOUNTED_STEPS) * step_seconds


def why_not(device: str, mode: str, step_seconds: float, environment: Mapping[str, str], limit: float) -> str | None:
    """The reason why a lane's step cannot be counted; None where it can be tried.

    `limit` is the longest estimated time in seconds that is begun, `environment` where valgrind is looked for.
    """
    if device != "cpu":
        return "instructions are counted on a CPU only"
    if mode_of(mode).compiles:
        # Dynamo and a C++ compiler would run at a hundredth of their speed, for kernels of another instruction set.
        return f"the mode {mode} compiles, which takes too long under Valgrind"
    if shutil.which("valgrind", path=environment.get("PATH")) is None:
        return "valgrind is not installed (Debian's package is valgrind)"
    if (needed := estimated_seconds(step_seconds)) > limit:
        return f"the step is too long: counting it would take about {needed:.0f} s, the limit is {limit:.0f} s"
    return None


def count(
    group: Group, lane: Lane, pool: Pool, plan: records.Plan, *, products: int = 0, timeout: float = 2 * LIMIT_SECONDS
) -> Counts:
    """The instructions of a group's step in a lane, followed by `products` products of injected work.

    One process, pinned as the lanes are; the pool gives environment and source tree. Raises `Uncounted`.
    """
    mode = mode_of(lane.mode)
    environment = pool.environment(lane.build, mode.environment)
    # Where strings lie in a dictionary shall not differ from process to process.
    environment["PYTHONHASHSEED"] = "0"
    if (valgrind := shutil.which("valgrind", path=environment.get("PATH"))) is None:
        raise Uncounted("valgrind is not installed (Debian's package is valgrind)")
    folder = pathlib.Path(tempfile.mkdtemp(prefix="counts-", dir=pool.folder))
    order = interleave.order(group, lane, pool, plan) | {
        "warmup_steps": 2,
        "steps": STEPS,
        "products": products,
        "preload": ["torch", *pool.settings.preload],
        "path": list(pool.settings.path),
    }
    (folder / "order.json").write_text(json.dumps(order), encoding="utf-8")
    command = [
        *(valgrind, "--tool=callgrind", "--instr-atstart=no", f"--callgrind-out-file={folder / 'counts'}"),
        # Without optimisation the counts are the same, and steps were translated and run in less than half the time.
        *("--vex-iropt-level=0", pool.python(lane.build), "-m", "harness.counting"),
        *(str(folder / "order.json"), str(folder / "result.json")),
    ]
    status, log = _run(command, pool.tree, environment, plan.cpus, folder / "log", timeout)
    try:
        told = msgspec.json.decode((folder / "result.json").read_bytes(), type=_Told)
    except (OSError, msgspec.MsgspecError):
        raise Uncounted(_why(status, log, timeout)) from None
    if told.reason:
        raise Uncounted(" ".join(told.reason.split())[:LONGEST_NAME])
    return _read(folder, told.kernels)


def _run(
    command: list[str],
    cwd: pathlib.Path,
    environment: Mapping[str, str],
    cpus: Iterable[int],
    log: pathlib.Path,
    timeout: float,
) -> tuple[int | None, str]:
    """Run to the end or the time-out; the exit status, None for a time-out, and what was printed."""
    chosen = set(cpus)
    before = os.sched_getaffinity(0) if chosen and hasattr(os, "sched_setaffinity") else set()
    with log.open("wb") as output:
        try:
            if before:
                # Inherited by the child; a function run between fork and exec would not be safe here.
                os.sched_setaffinity(0, chosen)
            process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                cwd=cwd,
                env=dict(environment),
                start_new_session=True,
            )
        except OSError as error:
            raise Uncounted(f"valgrind cannot be run ({error.strerror})") from None
        finally:
            if before:
                os.sched_setaffinity(0, before)
        status: int | None = None
        try:
            status = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return status, log.read_text(encoding="utf-8", errors="replace")


def _why(status: int | None, log: str, timeout: float) -> str:
    if status is None:
        return f"counting did not end within {timeout:.0f} s"
    unknown = re.search(r"unhandled instruction bytes: ([0-9A-Fx ]{1,60})", log)
    if unknown or status == -signal.SIGILL:
        what = f" ({unknown[1].strip()})" if unknown else ""
        return f"valgrind does not know an instruction of the step{what}"
    if status < 0:
        return f"the process under valgrind died of signal {-status}"
    return f"the process under valgrind ended with exit code {status} and told nothing"


def _read(folder: pathlib.Path, kernels: str) -> Counts:
    """The counts that Callgrind left, a file for each dump."""
    steps: dict[int, dict[str, int]] = {}
    for path in folder.glob("counts.*"):
        text = path.read_text(encoding="utf-8", errors="replace")
        if marked := re.search(r"^desc: Trigger: Client Request: step (\d+)$", text, re.MULTILINE):
            steps[int(marked[1])] = functions(text.splitlines())
    found = [steps[number] for number in sorted(steps)]
    if len(found) < STEPS or not all(sum(one.values()) > 0 for one in found):
        raise Uncounted("Callgrind wrote no count of every step")
    last, whole = found[-1], sum(found[-1].values())
    kept = sorted(((name, own) for name, own in last.items() if own >= SMALLEST_SHARE * whole), key=lambda one: -one[1])
    return Counts(
        steps=tuple(sum(one.values()) for one in found), kernels=kernels, functions=dict(kept[:MOST_FUNCTIONS])
    )


_NAMED = re.compile(r"(fn|ob)=(?:\((\d+)\))?\s*(.*)")


def functions(lines: Iterable[str]) -> dict[str, int]:
    """Own instructions by function, from the lines of a file of Callgrind (the manual, "Callgrind Format").

    A name stands once and is a number from then on. The line after `calls=` is what the called function cost, which is
    that one's own. Functions without a symbol are summed up by their library.
    """
    names: dict[tuple[str, str], str] = {}
    now = {"fn": "", "ob": ""}
    found: dict[str, int] = {}
    called = False
    for line in lines:
        if match := re.match(r"c?(fn|ob)=", line):
            kind = match[1]
            named = _NAMED.match(line.removeprefix("c"))
            assert named is not None, "begins as it was just seen to"
            number, name = named[2], named[3]
            if number:
                name = names.setdefault((kind, number), name) if name else names.get((kind, number), "")
            if not line.startswith("c"):
                now[kind] = name
        elif line.startswith("calls="):
            called = True
        elif line[:1].isdigit() or line[:1] in ("+", "-", "*"):
            cost = line.split()[1:2]
            if not called and cost and cost[0].isdigit():
                name = _function(now["fn"], now["ob"])
                found[name] = found.get(name, 0) + int(cost[0])
            called = False
    return found


def _function(name: str, library: str) -> str:
    if not name or name.startswith("0x") or name == "???":
        # Libraries are named by file: their folders are the machine's.
        return f"{pathlib.PurePath(library).name or 'code made at run time'} (no symbol)"
    return name[:LONGEST_NAME]
