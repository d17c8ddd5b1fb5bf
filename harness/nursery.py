"""A nursery: a process that has torch and a suite's packages loaded, runs no operation, and forks a worker per launch.

It runs in the interpreter of the build that is measured and is started as `python -m harness.nursery FD`, FD being its
end of a Unix socket of packets. A launch then costs a fork and the building of the model, not seconds of imports.
Nothing may start threads or touch a device before the fork.

It promises that no process outlives the run: it watches the coordinator's end of the socket, and when that closes,
however the coordinator ended, it kills its workers with their descendants, removes the run's working folder, and
exits.

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

from harness import benchmark, worker

_PR_SET_PDEATHSIG = 1


class Nursery:
    """The state of a nursery: its socket to the coordinator and the workers that live, by process id."""

    def __init__(self, control: socket.socket) -> None:
        self._control = control
        self._workers: dict[int, int] = {}

    def run(self) -> None:
        """Preload as told by the first packet, say so, and serve until the coordinator is gone."""
        setup = json.loads(self._control.recv(worker.MAXIMUM_PACKET))
        try:
            self._preload(setup)
        except BaseException as error:
            self._send({"event": "failed", "reason": f"{type(error).__name__}: {error}"[: worker.MAXIMUM_TEXT]})
            traceback.print_exc()
            return
        self._send({"event": "ready", "pid": os.getpid()})
        try:
            self._serve()
        finally:
            for pid in self._workers:
                _kill(pid)
            shutil.rmtree(setup["folder"], ignore_errors=True)

    def _preload(self, setup: Mapping[str, Any]) -> None:
        for module in setup["preload"]:
            importlib.import_module(module)
        for suite in setup["suites"]:
            benchmark.load(suite)
        gc.collect()
        # Keeps the collector of every worker from touching, and so copying, the pages shared with the nursery.
        gc.freeze()

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
            finally:
                os._exit(70)
        self._workers[pid] = launch
        os.close(channel)
        os.close(output)

    def _reap(self) -> None:
        while self._workers:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (launch := self._workers.pop(pid, None)) is not None:
                # Descendants of the worker share its process group and end with it.
                _kill(pid)
                cpu = usage.ru_utime + usage.ru_stime
                self._send({"event": "exited", "launch": launch, "status": status, "cpu_seconds": cpu})

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


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def main() -> None:
    """Serve on the socket whose descriptor is the first argument."""
    Nursery(socket.socket(fileno=int(sys.argv[1]))).run()


if __name__ == "__main__":
    main()
