"""A nursery: a process that has torch and a suite's packages loaded, runs no operation, and forks a worker per launch.

It runs in the interpreter of the build that is measured and is started as `python -m harness.nursery FD FOLDER`, FD
being its end of a Unix socket of packets and FOLDER the run's working folder. A launch then costs a fork and the
building of the model, not seconds of imports. Nothing may start threads or touch a device before the fork.

It promises that no process outlives the run: when a worker ends, what it started and left behind is killed; and when
the coordinator's end of the socket closes, however the coordinator ended, the nursery kills its workers with their
descendants, removes the working folder, and exits.

Runs inside foreign builds: standard library only, but for what it is told to preload.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import pathlib
import selectors
import shutil
import signal
import socket
import sys
import traceback
from collections.abc import Mapping
from typing import Any

from harness import benchmark, codepages, worker

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36


class Nursery:
    """The state of a nursery: its socket to the coordinator and the workers that live, by process id."""

    def __init__(self, control: socket.socket, folder: pathlib.Path) -> None:
        self._control = control
        self._folder = folder
        self._workers: dict[int, int] = {}
        self._helpers: set[int] = set()

    def run(self) -> None:
        """Preload as told by the first packet, say so, and serve until the coordinator is gone."""
        try:
            if (setup := self._control.recv(worker.MAXIMUM_PACKET)) and self._ready(json.loads(setup)):
                self._serve()
        finally:
            self._end_all()
            if self._abandoned():
                shutil.rmtree(self._folder, ignore_errors=True)

    def _ready(self, setup: Mapping[str, Any]) -> bool:
        try:
            self._preload(setup)
        except BaseException as error:
            self._send({"event": "failed", "reason": f"{type(error).__name__}: {error}"[: worker.MAXIMUM_TEXT]})
            traceback.print_exc()
            return False
        self._send({"event": "ready", "pid": os.getpid()})
        return True

    def _abandoned(self) -> bool:
        """Whether the coordinator is gone; while it lives, the folder is its own affair."""
        try:
            return not self._control.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        except OSError:
            return True

    def _preload(self, setup: Mapping[str, Any]) -> None:
        # Last: what is there must not stand in for what the build has.
        sys.path += setup["path"]
        for module in setup["preload"]:
            importlib.import_module(module)
        for suite in setup["suites"]:
            benchmark.load(suite)
        if setup["code_pages"] == "own":
            codepages.make_own()
        gc.collect()
        # Keeps the collector of every worker from touching, and so copying, the pages shared with the nursery.
        gc.freeze()
        # What a package started while it was imported is not a worker's leftover.
        self._helpers = _children()
        adopt_orphans()

    def _serve(self) -> None:
        reader, writer = os.pipe()
        os.set_blocking(writer, False)
        os.set_blocking(reader, False)
        signal.set_wakeup_fd(writer, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        with selectors.DefaultSelector() as selector:
            selector.register(self._control, selectors.EVENT_READ)
            selector.register(reader, selectors.EVENT_READ)
            while True:
                for key, _ in selector.select():
                    if key.fileobj is self._control:
                        if not self._obey():
                            return
                    else:
                        os.read(reader, 4096)
                        self._reap()

    def _obey(self) -> bool:
        data, descriptors, _, _ = socket.recv_fds(self._control, worker.MAXIMUM_PACKET, 2)
        if not data:
            return False
        message = json.loads(data)
        if message["do"] == "launch":
            self._launch(message["launch"], message["order"], *descriptors)
        elif message["do"] == "kill":
            for pid, launch in self._workers.items():
                if launch == message["launch"]:
                    _kill(pid)
        return True

    def _launch(self, launch: int, order: Mapping[str, Any], channel: int, output: int) -> None:
        pid = os.fork()
        if pid == 0:
            try:
                self._control.close()
                become_worker(order, channel, output)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(70)
        self._workers[pid] = launch
        with contextlib.suppress(OSError):
            # The child does the same; whoever is first, the group is there before it may have to be killed.
            os.setpgid(pid, pid)
        os.close(channel)
        os.close(output)

    def _reap(self) -> None:
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            # What the worker started is in its group, or was adopted when it ended.
            _kill_group(pid)
            self._kill_orphans()
            if (launch := self._workers.pop(pid, None)) is not None:
                cpu = usage.ru_utime + usage.ru_stime
                self._send({"event": "exited", "launch": launch, "status": status, "cpu_seconds": cpu})

    def _kill_orphans(self) -> None:
        for pid in _children() - self._workers.keys() - self._helpers:
            _kill(pid)

    def _end_all(self) -> None:
        """Kill all children and wait for them, so that none writes into the folder any more."""
        while True:
            for pid in _children() | self._workers.keys():
                _kill(pid)
            try:
                pid, _ = os.waitpid(-1, 0)
            except ChildProcessError:
                return
            self._workers.pop(pid, None)

    def _send(self, message: Mapping[str, Any]) -> None:
        with contextlib.suppress(OSError):
            self._control.send(json.dumps(message).encode())


def become_worker(order: Mapping[str, Any], channel: int, output: int) -> None:
    """Turn a forked child into a worker and run it to its end; does not return."""
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    os.setpgid(0, 0)
    die_with_parent()
    with contextlib.suppress(OSError), pathlib.Path("/proc/self/oom_score_adj").open("w") as file:
        # When memory runs out the kernel shall take the worker, not the coordinator.
        file.write("1000")
    if order["cpus"] and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, order["cpus"])
    for descriptor in (1, 2):
        os.dup2(output, descriptor)
    os.close(output)
    worker.serve(socket.socket(fileno=channel), order)
    sys.stdout.flush()
    sys.stderr.flush()
    # No interpreter shutdown: it takes time and can crash after the work is done.
    os._exit(0)


def die_with_parent() -> None:
    """Ask Linux to kill this process when its parent dies, whatever the reason; elsewhere do nothing."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def adopt_orphans() -> None:
    """Become the parent of descendants whose own parent ends, even of those that left its group; Linux only."""
    if sys.platform == "linux":
        ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)


def _children() -> set[int]:
    """Children of this process, adopted ones included, from proc(5); empty where the kernel does not list them."""
    found: set[int] = set()
    for path in pathlib.Path("/proc/self/task").glob("*/children"):
        with contextlib.suppress(OSError):
            found.update(int(pid) for pid in path.read_text().split())
    return found


def _kill(child: int) -> None:
    _kill_group(child)
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)


def _kill_group(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Serve on the socket whose descriptor is the first argument; the second is the run's working folder."""
    Nursery(socket.socket(fileno=int(sys.argv[1])), pathlib.Path(sys.argv[2])).run()


if __name__ == "__main__":
    main()
