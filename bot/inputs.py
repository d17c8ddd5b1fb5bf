"""Files from outside, read whole, but never without a bound.

Promises that a file which is not there, cannot be read or is too large ends as one sentence.
"""

from __future__ import annotations

from pathlib import Path

from harness.errors import UserError


def read(path: Path, most: int, *, wanted: str, too_large: str) -> bytes:
    """The bytes of a file of at most `most` bytes.

    Raises UserError, which ends in `wanted` when the file cannot be read and in `too_large` when it is larger.
    """
    try:
        with path.open("rb") as file:
            content = file.read(most + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror}); {wanted}") from error
    if len(content) > most:
        raise UserError(f"{path}: is larger than {most // 2**20} MiB; {too_large}")
    return content
