"""Real sessions for tests: put together in a few words, run here or in a process that can be killed, and searched for
what they leave behind.

    session = sessions.make(tmp_path, only="perceptron", types=("eval",))
    path, log = tmp_path / "run.jsonl", sessions.Log()
    harness.session.run(session, path, log)
    assert sessions.leftovers(session) == []

Run as a script it is the coordinator of a pickled session: `python -m tests.sessions SESSION RUN [--resume]` prints a
line per event of the observer, which is how a test knows at which moment it kills.
"""

from __future__ import annotations

import functools
import os
import pathlib
import pickle
import signal
import subprocess
import sys
import time
import uuid

import msgspec

from harness import builds, buildspec, machine, plan, records
from harness.session import Session, plan_with_tests, run

SUITES = pathlib.Path(__file__).resolve().parent / "suites"
TINY, FAULTY = str(SUITES / "tiny.py"), str(SUITES / "faulty.py")
MARK = "TORCHWARDEN_TEST_MARK"
PATIENCE = 60.0
"""Seconds to wait for what must happen within some; far more than it takes, for the machine may be busy."""


@functools.cache
def build():
    """This interpreter as a build."""
    return builds.resolve(buildspec.parse("current", "head"), dict(os.environ))


@functools.cache
def descriptions(*suites):
    return plan.describe_suites(suites, environment=dict(os.environ))


def select(*, suites=(TINY,), types=("eval",), modes=("eager",), only=None):
    return plan.select(suites, descriptions(*suites), types=types, modes=modes, device="cpu", size="small", only=only)


def make(folder, groups=None, *, base=False, budget=0.3, nurseries=2, inject=None, step_timeout=60.0, **selection):
    """A session of the selected groups on one CPU, its temporary files in `folder`/"work", its processes marked."""
    groups = select(**selection) if groups is None else groups
    (folder / "work").mkdir(exist_ok=True)
    planned = records.Plan(
        suites=tuple(dict.fromkeys(group.suite for group in groups)),
        tests=(),
        types=tuple(dict.fromkeys(group.type for group in groups)),
        modes=tuple(dict.fromkeys(mode for group in groups for mode in (*group.modes, *group.skipped))),
        head="head",
        base="base" if base else None,
        cpus=machine.choose_cpus(1),
        budget_seconds=budget,
        step_timeout_seconds=step_timeout,
        nurseries=nurseries,
        inject=inject or {},
    )
    return Session(
        plan=plan_with_tests(planned, groups),
        groups=groups,
        builds=(msgspec.structs.replace(build(), name="base"), build()) if base else (build(),),
        machine=machine.describe("test"),
        environment={**os.environ, MARK: uuid.uuid4().hex},
        folder=folder / "work",
    )


class Log:
    """An observer that keeps what it was told, as text."""

    def __init__(self, tell=lambda event: None):
        self.events, self.progress = [], []
        self._tell = tell

    def _note(self, event):
        self.events.append(event)
        self._tell(event)

    def started(self, tests, done):
        self._note(f"started {tests} {done}")

    def group_begins(self, group):
        self._note(f"group {group.name}")

    def launched(self, progress):
        self.progress.append(progress)
        self._note(f"launched {progress.group.name} {progress.launches}")

    def test_ended(self, test):
        self._note(f"ended {test.test} {test.status}")


def processes(session):
    """Command lines of the processes that live with this session's mark in their environment."""
    mark = f"{MARK}={session.environment[MARK]}".encode()
    found = []
    for folder in pathlib.Path("/proc").glob("[0-9]*"):
        try:
            if mark in (folder / "environ").read_bytes().split(b"\0"):
                found.append(f"{folder.name} {(folder / 'cmdline').read_bytes().replace(bytes(1), b' ').decode()}")
        except OSError:
            continue
    return found


def leftovers(session):
    """Processes and files of a session that is over."""
    return processes(session) + [str(path) for path in session.folder.iterdir()]


def wait_until(condition):
    """Wait until a condition holds; whether it does when patience ends."""
    deadline = time.monotonic() + PATIENCE
    while not (holds := condition()) and time.monotonic() < deadline:
        time.sleep(0.05)
    return holds


def wait_for_nothing(session):
    """Wait until nothing is left of a session whose coordinator was killed; what is there still when patience ends."""
    wait_until(lambda: not leftovers(session))
    return leftovers(session)


def start(session, path, *, resume=False):
    """Run a session in a process of its own; its standard output is a line per event."""
    pickled = session.folder.parent / "session.pickle"
    pickled.write_bytes(pickle.dumps(session))
    command = [sys.executable, "-m", "tests.sessions", str(pickled), str(path), *(["--resume"] if resume else [])]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=SUITES.parents[1])


def wait_for_event(process, beginning):
    """Read events of a started session until one begins so; that one, or "" when the session ended before.

    With an empty beginning, nothing is read.
    """
    if not beginning:
        return ""
    return next((line.strip() for line in process.stdout if line.startswith(beginning)), "")


if __name__ == "__main__":
    # Whoever runs the tests in the background of a shell has them inherit that Ctrl-C is ignored.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    run(
        pickle.loads(pathlib.Path(sys.argv[1]).read_bytes()),
        pathlib.Path(sys.argv[2]),
        Log(lambda event: print(event, flush=True)),
        resume="--resume" in sys.argv,
    )
