import errno
import os
import pathlib
import subprocess
import sys
import threading
import zipfile

import pytest

from harness import buildcache, buildspec
from harness.buildcache import Beside, interpreter, last_words, nightly_version, requirements
from harness.errors import UserError

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="builds are made with Linux's locks")

# Nothing here may reach for an index.
ENVIRONMENT = {**os.environ, "PIP_NO_INDEX": "1"}
INSTALL = "cp gauge.py $VIRTUAL_ENV/lib/python*/site-packages/"


def _wheel(folder, version="1.0", tag="py3-none-any", text="STEP = 1\n"):
    """A wheel by hand, for which pip needs no network."""
    path = folder / f"gauge-{version}-{tag}.whl"
    info = f"gauge-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("gauge.py", text)
        file.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: gauge\nVersion: {version}\n")
        file.writestr(f"{info}/WHEEL", f"Wheel-Version: 1.0\nGenerator: us\nRoot-Is-Purelib: true\nTag: {tag}\n")
        file.writestr(f"{info}/RECORD", "")
    return path


@pytest.fixture
def repository(tmp_path):
    """Two commits of a package; the second is on a branch and a tag."""
    folder = tmp_path / "repository"
    folder.mkdir()

    def git(*words):
        command = ["git", "-c", "user.name=us", "-c", "user.email=us@localhost", *words]
        return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()

    git("init", "--quiet", "--initial-branch=main")
    for step in (1, 2):
        (folder / "gauge.py").write_text(f"STEP = {step}\n")
        git("add", "gauge.py")
        git("commit", "--quiet", "-m", f"step {step}")
    git("tag", "v2")
    return folder


class Made:
    """Makes builds into one cache and keeps what was said."""

    def __init__(self, folder):
        self.folder, self.said = folder / "cache", []

    def __call__(self, text, environment=ENVIRONMENT, **beside):
        asked = buildspec.parse(str(text), "head")
        return interpreter(asked, Beside(**beside), self.folder, environment, self.said.append)

    def refused(self, text, *words, **more):
        with pytest.raises(UserError) as error:
            self(text, **more)
        sentence = str(error.value)
        assert all(word in sentence for word in words), sentence
        assert "\n" not in sentence
        # What was begun is gone; locks and logs may stay.
        assert [path for path in self.folder.glob("*") if path.is_dir()] == [] if self.folder.is_dir() else True
        return sentence


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path)


def _step(python):
    command = [str(python), "-c", "import gauge; print(gauge.STEP)"]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


def test_a_wheel_becomes_an_interpreter_once(made, tmp_path):
    wheel = _wheel(tmp_path)
    python = made(wheel)
    assert _step(python) == "1"
    assert any("install" in line for line in made.said)
    made.said.clear()
    assert made(wheel) == python
    assert made.said == []


def test_what_a_wheel_holds_makes_the_difference_and_not_its_name(made, tmp_path):
    first = made(_wheel(tmp_path))
    second = made(_wheel(tmp_path, text="STEP = 5\n"))
    assert first != second
    assert (_step(first), _step(second)) == ("1", "5")


def test_a_commit_is_built_by_the_install_command(made, repository):
    pythons = {
        ref: made(f"git:{ref}", repository=repository, install_command=INSTALL) for ref in ("main~1", "main", "v2")
    }
    assert {ref: _step(python) for ref, python in pythons.items()} == {"main~1": "1", "main": "2", "v2": "2"}
    assert pythons["main"] == pythons["v2"] != pythons["main~1"]
    other = made("git:main", repository=repository, install_command=f"true; {INSTALL}")
    assert other != pythons["main"]


def test_packages_beside_it_are_installed_too(made, repository, tmp_path):
    _wheel(tmp_path)
    environment = {**ENVIRONMENT, "PIP_FIND_LINKS": str(tmp_path)}
    python = made("git:main", environment, repository=repository, install_command="true", packages=("gauge==1.0",))
    assert _step(python) == "1"


def test_a_requirement_comes_from_pips_index(made, tmp_path):
    _wheel(tmp_path)
    _wheel(tmp_path, "2.0", text="STEP = 2\n")
    environment = {**ENVIRONMENT, "PIP_FIND_LINKS": str(tmp_path)}
    assert _step(made("gauge==1.0", environment)) == "1"
    assert _step(made("gauge > 1.0", environment)) == "2"


def test_what_cannot_be_installed_is_one_sentence_and_can_be_tried_again(made, tmp_path, repository):
    made.refused("gauge==9.0", "the build head cannot be made", "gauge==9.0", "log")
    bad = tmp_path / "gauge-3.0-py3-none-any.whl"
    bad.write_text("no wheel")
    made.refused(bad, "the build head cannot be made")
    made.refused(_wheel(tmp_path, "4.0", "cp27-cp27m-win32"), "not a supported wheel")
    made.refused(tmp_path / "absent.whl", "absent.whl cannot be read")
    said = made.refused(
        "git:main", "`echo going; exit 3` failed", repository=repository, install_command="echo going; exit 3"
    )
    log = pathlib.Path(said.partition("its log is ")[2])
    assert "going" in log.read_text()
    made.refused(
        "git:main", "no such thing", repository=repository, install_command="echo error: no such thing >&2; exit 1"
    )
    bad.unlink()
    assert _step(made(_wheel(tmp_path, "3.0"))) == "1"


def test_a_commit_that_is_not_there_is_one_sentence(made, repository, tmp_path):
    made.refused("git:nowhere", "no commit 'nowhere'", repository=repository)
    made.refused("git:--help", "names no commit", repository=repository)
    made.refused("git:", "names no commit", repository=repository)
    made.refused("git:main", "no commit 'main'", repository=tmp_path)
    assert made.said == []


def test_a_build_that_was_left_halfway_is_made_anew(made, tmp_path):
    wheel = _wheel(tmp_path)
    python = made(wheel)
    home = python.parents[2]
    (home / "made.json").unlink()
    (home / "rubbish").write_text("left by a process that was killed")
    assert made(wheel) == python
    assert not (home / "rubbish").exists()
    assert _step(python) == "1"


def test_an_interruption_leaves_nothing(made, tmp_path):
    def interrupt(text):
        if "install" in text:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interpreter(buildspec.parse(str(_wheel(tmp_path)), "head"), Beside(), made.folder, ENVIRONMENT, interrupt)
    assert [path for path in made.folder.iterdir() if path.is_dir()] == []


def test_a_full_disk_is_one_sentence_and_poisons_nothing(made, tmp_path, monkeypatch):
    wheel, write = _wheel(tmp_path), pathlib.Path.write_text

    def full(self, *arguments, **keywords):
        if self.name == "made.json":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(self, *arguments, **keywords)

    with monkeypatch.context() as patch:
        patch.setattr(pathlib.Path, "write_text", full)
        made.refused(wheel, "No space left on device", "XDG_CACHE_HOME")
    assert _step(made(wheel)) == "1"


def test_a_cache_that_is_no_folder_is_one_sentence(made, tmp_path):
    made.folder.write_text("a file")
    made.refused(_wheel(tmp_path), "cannot be kept in")


def test_two_at_once_make_it_once(made, tmp_path):
    wheel = _wheel(tmp_path)
    threads = [threading.Thread(target=made, args=(wheel,)) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum("install" in line for line in made.said) == 1


def test_a_command_that_takes_too_long_is_ended_with_its_children(made, repository, monkeypatch, tmp_path):
    class Watched(list):
        def append(self, text):
            if "sleep" in text:
                monkeypatch.setattr(buildcache, "TIMEOUT", 1.0)

    pid = tmp_path / "pid"
    made.said = Watched()
    sleeper = f"sleep 600 & echo $! > {pid}; wait"
    made.refused("git:main", "took longer than 1 s", repository=repository, install_command=sleeper)
    status = pathlib.Path(f"/proc/{pid.read_text().strip()}/status")
    # Ended, and perhaps not yet waited for by whoever adopted it.
    assert not status.exists() or "zombie" in status.read_text()


def test_the_nightly_of_a_day_is_found_among_versions():
    said = "torch (2.15.0.dev20261125+cpu)\nAvailable versions: 2.15.0.dev20261125+cpu, 2.15.0.dev20261124+cpu"
    assert nightly_version(said, "20261124") == "2.15.0.dev20261124+cpu"
    assert nightly_version(said, "20261001") is None


def test_a_text_may_hold_several_requirements():
    assert requirements("torch == 2.13.0 torchvision") == ["torch==2.13.0", "torchvision"]
    assert requirements("torch>=2.6, <3  numpy") == ["torch>=2.6,<3", "numpy"]


def test_last_words_are_those_that_tell_of_an_error():
    said = "Collecting x\nERROR: No matching distribution found for x\n[notice] a new pip\nbye"
    assert last_words(said) == "ERROR: No matching distribution found for x"
    assert last_words("one\ntwo\n\n") == "two"
    assert last_words("") == ""
    assert "No space left" in last_words("OSError: [Errno 28] No space left on device\nmore")
