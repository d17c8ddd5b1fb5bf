"""Where results go: checked before any work is done, written whole or not at all.

Promises that a path which cannot be written is refused at once, that checking leaves nothing behind, and that a reader
never sees half a file.
"""

from __future__ import annotations

import datetime
import pathlib
import tempfile

from harness.errors import UserError


def check(path: pathlib.Path, *, replace: bool = True, make_folder: bool = False) -> None:
    """Raise UserError unless a file can be written at `path`.

    `replace` allows a file that is there; `make_folder` allows folders that are not there yet.
    """
    if path.is_dir():
        raise UserError(f"{path} is a folder; name a file in it")
    if path.exists() and not replace:
        raise UserError(f"{path} exists already; name another file, or go on from it with --resume")
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


def check_new_folder(folder: pathlib.Path) -> None:
    """Raise UserError unless `folder` is, or can become, a folder in which files can be made."""
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name another with --out-dir")
    check(folder / "run.jsonl", make_folder=True)


def write(path: pathlib.Path, text: str) -> None:
    """Put `text` into `path`, all of it or none. Raises UserError when that cannot be."""
    from bot.reference import write as write_whole

    check(path)
    write_whole(path, text)


def fresh_run(folder: pathlib.Path) -> pathlib.Path:
    """A name for a new run file in `folder` that is not taken: `run-20260102T030405.jsonl`, in UTC."""
    stem = f"run-{datetime.datetime.now(datetime.timezone.utc):%Y%m%dT%H%M%S}"
    path, number = folder / f"{stem}.jsonl", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.jsonl"
    return path
