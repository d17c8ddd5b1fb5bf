"""The coordinator's side of nurseries and workers: starts them, talks to them, notices how they end.

A `Pool` holds the nurseries of every build for one run. `launch` gives a `Worker`; whatever goes wrong with one (an
exception, a signal, silence) becomes a `WorkerError` with a status of the run format, a reason and the tail of stderr.
Closing the pool leaves no process and no file behind, and so does the death of the coordinator (see `harness.nursery`).
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from harness import allocators, records, worker
from harness.builds import NOT_INHERITED, copy_worker_tree
from harness.errors import UserError

START_TIMEOUT = 300.0
"""Seconds a nursery may take to import torch and the suites' packages, on a cold disk and a busy machine."""

STDERR_TAIL = 4000


class WorkerError(Exception):
    """A worker did not do what it was asked; `status` and `reason` are as in the run format, `stderr` is its tail."""

    def __init__(self, status: records.Status, reason: str, stderr: str = "") -> None:
        super().__init__(reason)
        self.status: records.Status = status
        self.reason = reason
        self.stderr = stderr


@dataclass(frozen=True)
class Settings:
    """How nurseries are set up; the same for all builds of a run.

    `cpus` are the lanes' CPUs; `path` holds folders from which a build may import what it does not have itself.
    """

    nurseries: int
    threads: int
    cpus: tuple[int, ...]
    allocator: str
    code_pages: str
    preload: tuple[str, ...]
    suites: tuple[str, ...]
    path: tuple[str, ...] = ()


class Nursery:
    """One preloaded process of one build."""

    def __init__(self, python: str, tree: pathlib.Path, folder: pathlib.Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._ready = False
        self._log = pathlib.Path(tempfile.mkstemp(prefix="nursery-", suffix=".log", dir=folder)[1])
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [python, "-m", "harness.nursery", str(theirs.fileno()), str(folder)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[theirs.fileno()],
                env=dict(environment),
                cwd=tree,
                # A session of its own: Ctrl-C is for the coordinator, which ends its nurseries in order.
                start_new_session=True,
            )
        self._python = python
        self._launches = 0
        self._ended: dict[int, tuple[int, float]] = {}

    def set_up(self, settings: Settings) -> None:
        """Tell the nursery what to preload; `wait_ready` waits until it has."""
        modules = ["torch", *settings.preload]
        setup = {
            "preload": modules,
            "suites": settings.suites,
            "code_pages": settings.code_pages,
            "path": settings.path,
        }
        # When it has ended already, `wait_ready` finds out.
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(setup).encode())

    def wait_ready(self) -> None:
        """Wait until everything is preloaded. Raises UserError with the end of the log when it is not."""
        self._control.settimeout(START_TIMEOUT)
        try:
            data = self._control.recv(worker.MAXIMUM_PACKET)
        except TimeoutError:
            raise UserError(f"{self._python} did not load the suites within {START_TIMEOUT:.0f} s") from None
        except OSError:
            data = b""
        message = json.loads(data) if data else {"event": "failed", "reason": _last_line(self._log)}
        if message["event"] != "ready":
            reason = _printable(" ".join(message["reason"].split())) or "it ended at once"
            raise UserError(f"{self._python} cannot load what the suites need ({reason}); install it into that build")
        self._ready = True

    @property
    def alive(self) -> bool:
        """Whether its process still runs."""
        return self.process.poll() is None

    def launch(self, order: Mapping[str, Any], timeout: float) -> Worker:
        """Fork a worker for `order` and wait until its step is built and warm. Raises WorkerError."""
        self._launches += 1
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        descriptor, name = tempfile.mkstemp(prefix="worker-", suffix=".log", dir=self._folder)
        message = {"do": "launch", "launch": self._launches, "order": dict(order)}
        try:
            socket.send_fds(self._control, [json.dumps(message).encode()], [theirs.fileno(), descriptor])
        except OSError:
            ours.close()
            raise WorkerError("crash", "the nursery is gone", _tail(self._log)) from None
        finally:
            theirs.close()
            os.close(descriptor)
        return Worker(self, self._launches, ours, pathlib.Path(name), timeout)

    def kill(self, launch: int) -> None:
        """Kill a worker and its descendants."""
        with contextlib.suppress(OSError):
            self._control.send(json.dumps({"do": "kill", "launch": launch}).encode())

    def ended(self, launch: int, timeout: float = 10.0) -> tuple[int, float] | None:
        """Wait status and CPU seconds of a worker that ended; None when the nursery does not say in time."""
        deadline = time.monotonic() + timeout
        while launch not in self._ended and (left := deadline - time.monotonic()) > 0:
            self._control.settimeout(left)
            try:
                data = self._control.recv(worker.MAXIMUM_PACKET)
            except OSError:
                return None
            if not data:
                return None
            message = json.loads(data)
            self._ended[message["launch"]] = (message["status"], message["cpu_seconds"])
        return self._ended.pop(launch, None)

    def hang_up(self) -> None:
        """Tell the nursery to end, without waiting for it."""
        self._control.close()
        if not self._ready:
            # It has no workers yet, and would notice only when everything is loaded.
            self.process.kill()

    def close(self) -> None:
        """End the nursery and its workers."""
        self.hang_up()
        try:
            self.process.wait(5)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


class Worker:
    """A live worker: one lane's step, built and warm. Use as a context manager; leaving it ends the worker.

    `birth` is what it said of itself (see `harness.worker.Step`); `cpu_seconds` is known once it has ended.
    """

    def __init__(
        self, nursery: Nursery, launch: int, channel: socket.socket, log: pathlib.Path, timeout: float
    ) -> None:
        self._nursery, self._launch, self._channel, self._log = nursery, launch, channel, log
        self.cpu_seconds = 0.0
        self._open = True
        self.birth = self._receive(timeout)

    def sample(self, steps: int, settle: int, timeout: float, *, kept: bool = True) -> dict[str, Any]:
        """One sample: `seconds` per step, `phases`, `faults` per step, `switches`. Raises WorkerError.

        Not `kept` says that it will be thrown away; then a step is timed without injected work.
        """
        self._send({"do": "sample", "steps": steps, "settle": settle, "kept": kept})
        return self._receive(timeout)

    def finish(self, timeout: float) -> dict[str, Any]:
        """Ask for the last figures and end the worker in good order. Raises WorkerError."""
        self._send({"do": "finish"})
        figures = self._receive(timeout)
        self.close()
        return figures

    def _send(self, message: Mapping[str, Any]) -> None:
        # When the worker is gone the next receive finds out how it ended.
        with contextlib.suppress(OSError):
            self._channel.send(json.dumps(message).encode())

    def _receive(self, timeout: float) -> dict[str, Any]:
        self._channel.settimeout(max(timeout, 0.01))
        try:
            data = self._channel.recv(worker.MAXIMUM_PACKET)
        except TimeoutError:
            raise self._ended(WorkerError("timeout", f"the step gave no sign of life for {timeout:.0f} s")) from None
        except OSError:
            data = b""
        if not data:
            raise self._ended(None)
        message: dict[str, Any] = json.loads(data)
        if message["event"] == "failed":
            text = (_printable(message[key]) for key in ("reason", "traceback"))
            raise self._ended(WorkerError(message["status"], *text))
        return message

    def _ended(self, error: WorkerError | None) -> WorkerError:
        """Close, and say why the worker ended: `error` when it is known, else from its wait status."""
        stderr = _tail(self._log)
        status = self.close()
        if error is None:
            error = _death(status)
        error.stderr = "\n".join(part for part in (error.stderr, stderr) if part)[-STDERR_TAIL:]
        return error

    def close(self) -> int | None:
        """End the worker, in whatever state it is; its wait status where the nursery knows it."""
        if not self._open:
            return None
        self._open = False
        self._channel.close()
        if (ended := self._nursery.ended(self._launch, timeout=0.5)) is None:
            self._nursery.kill(self._launch)
            ended = self._nursery.ended(self._launch)
        self._log.unlink(missing_ok=True)
        if ended is None:
            return None
        status, self.cpu_seconds = ended
        return status

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _death(status: int | None) -> WorkerError:
    if status is None:
        return WorkerError("crash", "the worker and its nursery are gone")
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        if number == signal.SIGKILL:
            return WorkerError("OOM", "the worker was killed (SIGKILL), as the kernel does when memory runs out")
        return WorkerError("crash", f"the worker died of {signal.Signals(number).name}")
    return WorkerError("crash", f"the worker ended by itself with exit code {os.WEXITSTATUS(status)}")


class Pool:
    """The nurseries of all builds of a run, in a working folder of its own. A context manager.

    Raises UserError when a build cannot load what the suites need, or the allocator is not there.
    """

    def __init__(
        self, builds: Sequence[records.Build], settings: Settings, environment: Mapping[str, str], folder: pathlib.Path
    ) -> None:
        self.settings = settings
        self._builds = {build.name: build for build in builds}
        self._environment = dict(environment)
        self._folder = pathlib.Path(tempfile.mkdtemp(prefix="torchwarden-", dir=folder))
        self._nurseries: dict[tuple[str, tuple[tuple[str, str], ...]], list[Nursery]] = {}
        self._tree = self._folder / "tree"
        try:
            copy_worker_tree(self._tree / "harness")
            self._allocator = allocators.environment(settings.allocator)
        except BaseException:
            self.close()
            raise

    def start(self, lanes: Sequence[tuple[str, Mapping[str, str]]]) -> None:
        """Start the nurseries of lanes, given as build name and environment, and wait until all are loaded.

        All are started together: they load at the same time, and none is younger than another of its pair by much.
        """
        fresh: list[Nursery] = []
        keys = dict.fromkeys((build, tuple(sorted(extra.items()))) for build, extra in lanes)
        for index in range(self.settings.nurseries):
            wanted = [key for key in keys if len(self._nurseries.get(key, ())) <= index]
            for key in wanted if index % 2 == 0 else reversed(wanted):
                nursery = self._open(*key)
                self._nurseries.setdefault(key, []).append(nursery)
                nursery.set_up(self.settings)
                fresh.append(nursery)
        for nursery in fresh:
            nursery.wait_ready()

    def _open(self, build: str, extra: Iterable[tuple[str, str]]) -> Nursery:
        environment = self.environment(build, dict(extra))
        return Nursery(self._builds[build].python, self._tree, self._folder, environment)

    def cache(self, group: str, lane: str) -> str:
        """The folder in which a lane's compiler keeps its work: empty at its first launch, and gone with the pool."""
        name = hashlib.sha256(f"{group} {lane}".encode()).hexdigest()[:16]
        return str(self._folder / "compiled" / name)

    @property
    def folder(self) -> pathlib.Path:
        """The run's working folder, for what a worker hands over in files; gone with the pool."""
        return self._folder

    def nursery(self, build: str, extra: Mapping[str, str], index: int) -> Nursery:
        """The nursery with this index of a build and environment that was started; indexes wrap around.

        One that a benchmark has brought down is replaced. Raises WorkerError when that fails.
        """
        key = build, tuple(sorted(extra.items()))
        nurseries = self._nurseries[key]
        place = index % len(nurseries)
        if not nurseries[place].alive:
            nurseries[place].close()
            nurseries[place] = self._open(*key)
            nurseries[place].set_up(self.settings)
            try:
                nurseries[place].wait_ready()
            except UserError as error:
                raise WorkerError("crash", f"a nursery died and cannot be replaced: {error}") from None
        return nurseries[place]

    @property
    def tree(self) -> pathlib.Path:
        """The folder that holds the worker's source, which is what a build's processes import `harness` from."""
        return self._tree

    def python(self, build: str) -> str:
        """The interpreter of a build."""
        return self._builds[build].python

    def environment(self, build: str, extra: Mapping[str, str]) -> dict[str, str]:
        """What a process of a build finds in its environment, with what its mode adds."""
        threads = str(self.settings.threads)
        return {
            **{name: value for name, value in self._environment.items() if name not in NOT_INHERITED},
            "PYTHONPATH": str(self._tree),
            # What a benchmark or a compiler leaves there when it is killed goes with the folder.
            "TMPDIR": str(self._folder),
            "OMP_NUM_THREADS": threads,
            "MKL_NUM_THREADS": threads,
            # numpy's pool would start at import, before the fork.
            "OPENBLAS_NUM_THREADS": threads,
            # Weights are random by design; nothing may reach for a hub in the middle of a run.
            "HF_HUB_OFFLINE": "1",
            # Compiling in the worker itself, on its own CPUs, leaves no process behind that could disturb a round.
            "TORCHINDUCTOR_COMPILE_THREADS": "1",
            **self._allocator,
            **self._builds[build].environment,
            **extra,
        }

    def close(self) -> None:
        """End all nurseries and workers and remove the working folder."""
        started = [nursery for nurseries in self._nurseries.values() for nursery in nurseries]
        for nursery in started:
            nursery.hang_up()
        for nursery in started:
            nursery.close()
        self._nurseries.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def _printable(text: str) -> str:
    # JSON carries lone surrogates, which stand for undecodable bytes in a file name; a run file must not.
    return text.encode(errors="replace").decode()


def _last_line(path: pathlib.Path) -> str:
    return _tail(path).rpartition("\n")[2]


def _tail(path: pathlib.Path) -> str:
    try:
        with path.open("rb") as file:
            file.seek(0, os.SEEK_END)
            file.seek(max(0, file.tell() - STDERR_TAIL))
            return file.read().decode(errors="replace").strip()
    except OSError:
        return ""
