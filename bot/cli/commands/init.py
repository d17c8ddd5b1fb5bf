"""`torchwarden init`: the first configuration and the workflows of a repository."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli import destinations

if TYPE_CHECKING:
    from bot.starter import Answers


def init(
    folder: Annotated[
        pathlib.Path, typer.Argument(metavar="[FOLDER]", help="Root of the repository (default: here).")
    ] = pathlib.Path(),
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="S", help="A built-in suite, or a file such as my_suite.py. Repeatable."),
    ] = None,
    machine: Annotated[
        list[str] | None,
        typer.Option("--machine", metavar="NAME=LABELS", help="Runners, such as gpu=self-hosted,gpu:cuda. Repeatable."),
    ] = None,
    install_command: Annotated[
        str | None, typer.Option("--install-command", metavar="COMMAND", help="Installs a commit of the repository.")
    ] = None,
    mode: Annotated[
        str | None,
        typer.Option("--mode", metavar="MODE", help="gate: a regression fails the check; advise: it does not."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Ask nothing: what is not given is as usual.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
) -> None:
    """Write .github/torchwarden.yml and the workflows, after a few questions.

    What an option says is not asked. All files are written or none, and none that is there is replaced without --force.
    """
    from bot import starter
    from harness.errors import UserError

    if not folder.is_dir():
        raise UserError(f"{folder} is not a folder; name the root of a repository")
    usual = starter.Answers()
    given = starter.Answers(
        suites=tuple(dict.fromkeys(suite or usual.suites)),
        machines=tuple(machine or usual.machines),
        install=install_command or usual.install,
        mode=quantities.known(mode or usual.mode, starter.MODES, "mode"),
    )
    asked = {"suites": not suite, "machines": not machine, "install": not install_command, "mode": not mode}
    answers = given if yes else _ask(given, asked)
    files = starter.files(answers)
    for one in answers.suites:
        if one.endswith(".py") and not (folder / one).is_file():
            raise UserError(f"there is no file {folder / one}; name a suite that is there")
    destinations.write_new(folder, files, replace=force, instead="keep it, or replace it with --force")
    print("\n".join(f"wrote {folder / name}" for name in files))
    print("next: `torchwarden config check`, commit these files, and put the label `perf` on a pull request")


def _ask(given: Answers, asked: dict[str, bool]) -> Answers:
    """The answers to the questions that are still open. Raises UserError when nobody answers."""
    import dataclasses

    from bot import starter
    from harness.errors import UserError

    def question(key: str, text: str, usual: str) -> str:
        return str(typer.prompt(text, default=usual)).strip() if asked[key] else usual

    try:
        suites = question("suites", "Suites to measure, built-in names or files", ",".join(given.suites))
        machines = question("machines", "Machine, NAME=LABELS of its runner", " ".join(given.machines))
        install = question("install", "Command that installs a commit of this repository", given.install)
        mode = question("mode", "gate (a regression fails the check) or advise", given.mode)
    except typer.Abort:
        raise UserError("nobody answered; answer the questions, or leave them to --yes") from None
    return dataclasses.replace(
        given,
        suites=quantities.words(suites, "suites"),
        machines=tuple(machines.split()),
        install=install,
        mode=quantities.known(mode, starter.MODES, "mode"),
    )
