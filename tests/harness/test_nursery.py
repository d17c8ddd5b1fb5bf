"""The nursery by itself: without torch, which it preloads only because it is told to."""

import contextlib
import json
import os
import pathlib
import socket
import subprocess
import sys

import pytest

from harness import builds
from tests.sessions import PATIENCE

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="sequenced packets over Unix sockets")


@contextlib.contextmanager
def _nursery(folder):
    """A nursery and the coordinator's end of its socket."""
    builds.copy_worker_tree(folder / "tree" / "harness")
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "harness.nursery", str(theirs.fileno()), str(folder)],
            pass_fds=[theirs.fileno()],
            cwd=folder / "tree",
            env={**os.environ, "PYTHONPATH": str(folder / "tree")},
            stderr=subprocess.DEVNULL,
        )
    try:
        with ours:
            ours.settimeout(PATIENCE)
            yield process, ours
    finally:
        process.kill()
        process.wait()


def _set_up(channel, preload=(), suites=()):
    channel.send(json.dumps({"preload": preload, "suites": suites, "code_pages": "shared", "path": []}).encode())


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "torchwarden-run"


def test_a_nursery_that_has_preloaded_says_so_and_goes_with_its_coordinator(folder):
    with _nursery(folder) as (process, channel):
        _set_up(channel, preload=["wave"])
        assert json.loads(channel.recv(4096)) == {"event": "ready", "pid": process.pid}
        channel.close()
        assert process.wait(PATIENCE) == 0
    assert not folder.exists()


def test_a_coordinator_that_dies_before_it_says_anything_leaves_nothing(folder):
    with _nursery(folder) as (process, channel):
        channel.close()
        assert process.wait(PATIENCE) == 0
    assert not folder.exists()


def test_a_preload_that_fails_is_told_and_the_folder_stays_with_its_coordinator(folder):
    with _nursery(folder) as (process, channel):
        _set_up(channel, preload=["wave", "a_module_that_is_nowhere"])
        told = json.loads(channel.recv(4096))
        assert told == {"event": "failed", "reason": "ModuleNotFoundError: No module named 'a_module_that_is_nowhere'"}
        assert process.wait(PATIENCE) == 0
        assert folder.exists()


def test_a_preload_that_fails_when_the_coordinator_is_dead_leaves_nothing(folder, tmp_path):
    suite = tmp_path / "waits.py"
    # Loads only once the coordinator has hung up.
    suite.write_text(
        "import pathlib, time\n"
        f"while not pathlib.Path({str(tmp_path / 'hung up')!r}).exists():\n    time.sleep(0.01)\n"
        "raise SystemExit('the suite ends the interpreter')\n"
    )
    with _nursery(folder) as (process, channel):
        _set_up(channel, suites=[str(suite)])
        channel.close()
        (tmp_path / "hung up").touch()
        assert process.wait(PATIENCE) == 0
    assert not folder.exists()


def test_what_a_suite_starts_at_import_ends_with_the_nursery(folder, tmp_path):
    suite = tmp_path / "starts.py"
    suite.write_text(
        "import pathlib, subprocess\n"
        "from harness.benchmark import benchmark\n"
        "child = subprocess.Popen(['sleep', '1000'], start_new_session=True)\n"
        f"pathlib.Path({str(tmp_path / 'pid')!r}).write_text(str(child.pid))\n"
        "benchmark('a', category='TEST', domain='TEST', sizes={'small': {}})(print)\n"
    )
    with _nursery(folder) as (process, channel):
        _set_up(channel, suites=[str(suite)])
        assert json.loads(channel.recv(4096))["event"] == "ready"
        child = pathlib.Path("/proc", (tmp_path / "pid").read_text())
        assert child.exists()
        channel.close()
        process.wait(PATIENCE)
    assert not child.exists()
