"""The merge base of two commits, asked of git."""

from __future__ import annotations

import pathlib
import subprocess

from bot import command
from harness.errors import UserError
from harness.testname import quoted


def of(target: str, head: str, folder: pathlib.Path) -> str:
    """The full hash of the newest commit that both `target` and `head` hold, in the repository around `folder`.

    Raises UserError for what is no reference, is not there or has nothing in common.
    """
    for text in (target, head):
        # None of them can be read as an option.
        if not command.is_reference(text):
            raise UserError(f"{quoted(text)} is not a commit, a branch or a tag; name one")
    try:
        done = subprocess.run(
            ["git", "merge-base", target, head], cwd=folder, capture_output=True, text=True, check=False
        )
    except OSError as error:
        raise UserError(f"git cannot be run ({error.strerror}); install it, or name the commit with --base") from None
    found = done.stdout.strip()
    if done.returncode != 0 or not found:
        why = " ".join(done.stderr.split()) or "they have nothing in common"
        raise UserError(
            f"git knows no merge base of {target} and {head} ({why}); fetch all of the history (fetch-depth: 0)"
        )
    return found
