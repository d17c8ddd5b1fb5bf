"""Where results go: checked before any work is done, written whole or not at all.

Promises that a path which cannot be written is refused at once, that checking leaves nothing behind, and that a reader
never sees half a file.
"""

from __future__ import annotations

import contextlib
import datetime
import pathlib
import tempfile
from collections.abc import Mapping

from harness.errors import UserError


def check(
    path: pathlib.Path,
    *,
    replace: bool = True,
    make_folder: bool = False,
    instead: str = "name another file, or go on from it with --resume",
) -> None:
    """Raise UserError unless a file can be written at `path`.

    `replace` allows a file that is there, and `instead` says what to do where that is not allowed; `make_folder` allows
    folders that are not there yet.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if path.exists() and not replace:
        raise UserError(f"{path} exists already; {instead}")
    folder = path.parent
    while make_folder and not folder.exists() and folder != folder.parent:
        folder = folder.parent
    check_folder(folder, path)


def check_folder(folder: pathlib.Path, path: pathlib.Path) -> None:
    """Raise UserError unless new files can be made in `folder`; `path` is what the sentence names."""
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(
            f"{path} cannot be written ({error.strerror}); name a file in a folder that exists and can be written"
        ) from None


def check_new_folder(folder: pathlib.Path, option: str = "--out-dir") -> None:
    """Raise UserError unless `folder` is, or can become, a folder in which files can be made; `option` named it."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name another with {option}")
    check(folder / "run.jsonl", make_folder=True)


def write(path: pathlib.Path, text: str) -> None:
    """Put `text` into `path`, all of it or none. Raises UserError when that cannot be."""
    from bot.reference import write as write_whole

    check(path)
    write_whole(path, text)


def write_new(
    folder: pathlib.Path,
    files: Mapping[str, bytes],
    *,
    replace: bool = False,
    instead: str = "name another folder with --out",
) -> None:
    """Put new files into `folder`, which is made where it is not there: all of them, and each of them whole.

    They are written beside their places first, so that what can fail fails before anything is seen. Raises UserError
    when a file exists already, unless `replace` allows that, or the folder cannot be written; `instead` says what to
    do.
    """
    places = {folder / pathlib.PurePosixPath(name): content for name, content in files.items()}
    if any(pathlib.PurePosixPath(name).is_absolute() or ".." in pathlib.PurePosixPath(name).parts for name in files):
        raise ValueError("names of files must stay in the folder")
    check_new_folder(folder, "--out")
    for place in places:
        check(place, replace=replace, make_folder=True, instead=instead)
    made = not folder.exists()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder, prefix=".export-") as spare:
            for number, content in enumerate(places.values()):
                (pathlib.Path(spare) / str(number)).write_bytes(content)
            for number, place in enumerate(places):
                place.parent.mkdir(parents=True, exist_ok=True)
                (pathlib.Path(spare) / str(number)).replace(place)
    except OSError as error:
        if made:
            with contextlib.suppress(OSError):
                folder.rmdir()
        raise UserError(f"{folder} cannot be written ({error.strerror}); {instead}") from None


def fresh_run(folder: pathlib.Path, kind: str = "run") -> pathlib.Path:
    """A name for a new run file in `folder` that is not taken: `run-20260102T030405.jsonl`, in UTC."""
    return fresh(folder, kind, ".jsonl")


def fresh(folder: pathlib.Path, kind: str, suffix: str) -> pathlib.Path:
    """A name for a new file in `folder` that is not taken, from its kind and the time in UTC."""
    stem = f"{kind}-{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%S}"
    path, number = folder / f"{stem}{suffix}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}{suffix}"
    return path
