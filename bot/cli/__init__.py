"""The command line, `torchwarden`: the only place that reads the environment, prints, and decides exit codes.

Promises that `--help` answers at once (nothing that measures or judges is imported before a command needs it), that a
mistake of the user is one sentence and exit code 2, and that no traceback is ever shown.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `torchwarden` with these arguments, by default those of this process, and exit."""
    from bot.cli.app import app
    from bot.cli.boundary import run

    sys.exit(run(app, sys.argv[1:] if arguments is None else arguments))
