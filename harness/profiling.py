"""Takes the profile of a test: sends a worker of the head's build, and gives what it found the form of a file.

Imports no torch.
"""

from __future__ import annotations

import datetime
import pathlib
import shutil

import msgspec

from harness import __version__, errand
from harness.errors import UserError
from harness.pool import WorkerError
from harness.profiles import Found, Profile
from harness.session import Session, opened

RESULT, TRACE = "profile.json", "trace.json.gz"


def take(session: Session, steps: int, trace: pathlib.Path | None = None) -> Profile:
    """The profile of the one test of a session, over so many steps; with `trace`, a Chrome trace goes there too.

    The trace is packed where its name ends in `.gz`. Raises UserError when the test cannot run, or the trace cannot be
    written.
    """
    (group,) = session.groups
    for reason in group.skipped.values():
        raise UserError(f"{group.tests[0]} cannot be profiled: {reason}")
    (mode,) = group.modes
    (build,) = session.builds
    with opened(session, session.groups) as pool:
        name = None if trace is None else (TRACE if trace.name.endswith(".gz") else TRACE.removesuffix(".gz"))
        more = {"steps": steps, "trace": None if name is None else str(pool.folder / name)}
        try:
            told, path = errand.run(errand.Errand(group, mode, "profile", RESULT, more), pool, session.plan)
            found = msgspec.json.decode(path.read_bytes(), type=Found)
        except WorkerError as error:
            raise UserError(f"{group.test(mode)} cannot be profiled: {error.reason} ({error.status})") from None
        except (OSError, msgspec.MsgspecError) as error:
            raise UserError(f"the worker of {group.test(mode)} left no profile ({error}); profile it again") from None
        if trace is not None and name is not None:
            _place(pool.folder / name, trace)
    return Profile(
        test=group.test(mode),
        suite=group.description.suite,
        size=group.size,
        started=datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        tool_version=__version__,
        machine=session.machine,
        build=build,
        threads=session.plan.threads,
        seed=session.plan.seed,
        plain_seconds=told["step_seconds"],
        steps_seconds=found.steps_seconds,
        halves_seconds=found.halves_seconds,
        operators=found.operators,
    )


def _place(written: pathlib.Path, wanted: pathlib.Path) -> None:
    """Move a file to where it is wanted, seen there only when it is whole."""
    beside = wanted.with_name(f".{wanted.name}.part")
    try:
        shutil.copyfile(written, beside)
        beside.replace(wanted)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise UserError(f"{wanted} cannot be written ({error.strerror}); name another file with --trace") from None
