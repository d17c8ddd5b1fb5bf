"""The boundary between the program and the shell: signals in, exit codes and one sentence out.

Promises that every way to end becomes an exit code of `EXIT_CODES`, that what went wrong is one sentence on stderr, and
that a traceback goes into a file, never onto the screen.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Iterator, Sequence
from types import FrameType

import typer

from harness.errors import UserError

USAGE = 2
DEFECT = 70
INTERRUPTED = 130
UNREAD = 141

EXIT_CODES: dict[int, str] = {
    0: "nothing to report",
    1: "at least one regression, or an answer that changed",
    USAGE: "a mistake in the command or in a file; one sentence says which",
    3: "inconclusive: at least one test could not be decided",
    DEFECT: "a defect of torchwarden itself",
    INTERRUPTED: "interrupted by Ctrl-C or SIGTERM; what was measured is kept",
    UNREAD: "whoever read the output closed it before its end",
}

# Typer brings its own copy of Click or uses the installed one, depending on its version.
_Refused = next(kind for kind in typer.BadParameter.__mro__ if kind.__name__ == "ClickException")


def run(app: typer.Typer, arguments: Sequence[str]) -> int:
    """Run the command and return the exit code; prints the sentence of whatever went wrong."""
    try:
        with _termination_as_interrupt():
            code = _invoke(app, arguments)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(str(error), USAGE)
    except (KeyboardInterrupt, typer.Abort):
        return _fail("interrupted", INTERRUPTED)
    except BrokenPipeError:
        # Whoever read us has seen enough. Python would complain again when it flushes stdout at its end.
        with contextlib.suppress(OSError, ValueError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        # What a shell reports for SIGPIPE; 0 would turn a regression that was not read to its end into a pass.
        return UNREAD
    except Exception as error:
        return _fail(_defect(error), DEFECT)


def _invoke(app: typer.Typer, arguments: Sequence[str]) -> int:
    command = typer.main.get_command(app)
    try:
        with command.make_context("torchwarden", list(arguments)) as context:
            result = command.invoke(context)
    except typer.Exit as end:
        return int(end.exit_code)
    except Exception as error:
        if isinstance(error, _Refused):
            raise UserError(_sentence(error)) from None
        raise
    return result if isinstance(result, int) else 0


def _sentence(error: Exception) -> str:
    """A parser's complaint, with where to look."""
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "torchwarden"
    message = str(error.format_message()).strip().rstrip(".?")  # type: ignore[attr-defined]
    return f"{message[:1].lower()}{message[1:]}; see `{path} --help`"


@contextlib.contextmanager
def _termination_as_interrupt() -> Iterator[None]:
    """Treat SIGTERM as Ctrl-C: a workflow that is cancelled sends it, and the run shall end as well."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _fail(sentence: str, code: int) -> int:
    with contextlib.suppress(OSError, ValueError):
        print(f"torchwarden: {sentence}", file=sys.stderr, flush=True)
    return code


def _defect(error: Exception) -> str:
    name = type(error).__name__
    try:
        with tempfile.NamedTemporaryFile("w", prefix="torchwarden-", suffix=".txt", delete=False) as file:
            file.write("".join(traceback.format_exception(error)))
    except OSError:
        return f"this should not have happened ({name}: {error}); please report it"
    return f"this should not have happened ({name}); please report it with the file {file.name}"
