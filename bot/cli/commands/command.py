"""`torchwarden command`: carry out what a comment asks for."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.actions import Access
from bot.cli.options import flattened

if TYPE_CHECKING:
    from bot.commanding import Done, Measured
    from bot.config import Config

_PATH = pathlib.Path(".github/torchwarden.yml")


@flattened
def command(
    access: Access,
    event: Annotated[
        pathlib.Path | None,
        typer.Option("--event", metavar="FILE", help="Payload of an issue_comment event (default: this workflow's)."),
    ] = None,
    config: Annotated[pathlib.Path, typer.Option("--config", metavar="FILE", help="The configuration.")] = _PATH,
    verdict: Annotated[
        list[pathlib.Path] | None,
        typer.Option("--verdict", metavar="FILE", help="Newest verdict on the pull request, for accept. Repeatable."),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            "--reference",
            metavar="YAML",
            help="Reference of each --verdict, as a path in the repository (default: the configuration's only one).",
        ),
    ] = None,
    follow: Annotated[
        int | None,
        typer.Option("--follow", metavar="ID", min=1, help="Only bring the reply to that comment up to date."),
    ] = None,
    number: Annotated[
        int | None, typer.Option("--number", metavar="N", min=1, help="With --follow: pull request or issue.")
    ] = None,
) -> int:
    """Carry out the command in a comment (`/perf help` lists them), once, and reply to it.

    The token comes from TORCHWARDEN_TOKEN or GITHUB_TOKEN; what it needs is in docs/github.md. Ends with 0 when the
    reply stands, a refusal too, and when the comment holds no command.
    """
    from bot import commanding, dispatch
    from bot import config as configs
    from bot.cli import actions
    from harness.errors import UserError

    if (follow is None) != (number is None):
        raise UserError("--follow and --number belong together; give both or none")
    if follow is not None and number is not None:
        _tell(commanding.follow(actions.client(access), number, follow))
        return 0
    heard = dispatch.event(actions.event_file(event))
    # Most comments hold no command; they take neither token nor configuration.
    if isinstance(found := dispatch.heard(heard), dispatch.Ignored):
        print(f"nothing to do: {found.reason}")
        return 0
    settings = configs.load(config)
    measured = _measured(verdict or [], reference or [], settings)
    client = actions.client(access)
    if client.repository.lower() != heard.repository.full_name.lower():
        raise UserError(
            f"the event is of {heard.repository.full_name}, not of {client.repository}; mend --repo or --event"
        )
    _tell(commanding.carry_out(client, heard, settings, measured))
    return 0


def _measured(files: list[pathlib.Path], paths: list[str], settings: Config) -> list[Measured]:
    """The verdicts with their references. Raises UserError where it is not clear which belongs to which."""
    from bot import commanding
    from bot import verdict as verdicts
    from bot.commanding import Measured
    from bot.github import checked
    from harness.errors import UserError

    if not files:
        return []
    if not paths:
        paths = commanding.reference_files(settings)
        if len(paths) > 1:
            raise UserError(f"there are {len(paths)} references; give --reference for each --verdict, in its order")
        paths = paths * len(files)
    if len(paths) != len(files):
        raise UserError("give --reference once for each --verdict, in the same order")
    return [Measured(verdicts.read(file), checked(path, "path")) for file, path in zip(files, paths, strict=True)]


def _tell(done: Done) -> None:
    why = f" ({done.why})" if done.why else ""
    print(f"command {done.state}{why}{f', {done.url}' if done.url else ''}")
