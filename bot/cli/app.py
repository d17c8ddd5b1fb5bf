"""The table of commands, and the main help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any

import typer

from bot.cli.boundary import EXIT_CODES
from bot.cli.commands import (
    bench,
    bisect,
    calibrate,
    check,
    command,
    comment,
    compare,
    compilers,
    config,
    explain,
    export,
    import_,
    init,
    issues,
    judge,
    listing,
    nightly,
    profile,
    reference,
    report,
    run,
    schema,
    score,
    swap,
    validate,
)

_HELP = """Tells whether a change made a model slower, and how sure that is.

Measures the same step in two builds, interleaved on the same CPU cores in many fresh processes, and judges the ratio
with its confidence interval. `torchwarden bench --base current --head name=/path/to/python` does all of it.
"""

_EPILOG = "\b\nExit codes:\n" + "\n".join(f"  {code:<4} {meaning}" for code, meaning in EXIT_CODES.items())

# Plain text: rich's boxes take longer to import than the whole command line takes to answer.
app = typer.Typer(
    name="torchwarden",
    help=_HELP,
    epilog=_EPILOG,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
)

_COMMANDS: dict[str, Callable[..., Any]] = {
    "list": listing.list_tests,
    "run": run.run,
    "judge": judge.judge,
    "report": report.report,
    "comment": comment.comment,
    "check": check.check,
    "issues": issues.issues,
    "command": command.command,
    "bench": bench.bench,
    "nightly": nightly.nightly,
    "bisect": bisect.bisect,
    "calibrate": calibrate.calibrate,
    "compilers": compilers.compilers,
    "profile": profile.profile,
    "explain": explain.explain,
    "validate": validate.validate,
    "swap": swap.swap,
    "compare": compare.compare,
    "score": score.score,
    "export": export.export,
    "import": import_.import_,
    "schema": schema.schema,
    "init": init.init,
}

for _name, _command in _COMMANDS.items():
    app.command(_name)(_command)
app.add_typer(reference.app, name="reference")
app.add_typer(config.app, name="config")


def _show_version(wanted: bool) -> None:
    if wanted:
        from harness import __version__

        print(f"torchwarden {__version__}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """Options of `torchwarden` itself; its help is `_HELP`."""
