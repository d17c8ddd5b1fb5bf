"""`torchwarden issues`: regressions of a night as issues, from the first bad night to the clean ones at its end."""

from __future__ import annotations

import pathlib
from typing import Annotated

import typer

from bot.cli import actions
from bot.cli.actions import Access
from bot.cli.options import flattened

_CONFIG = pathlib.Path(".github/torchwarden.yml")


@flattened
def issues(
    verdict: Annotated[pathlib.Path, typer.Argument(metavar="VERDICT", help="Written by `torchwarden judge --out`.")],
    place: Access,
    config: Annotated[
        pathlib.Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help=f"Owners, clean nights, window and confirmation (default: {_CONFIG}, where it is).",
        ),
    ] = None,
    label: Annotated[str, typer.Option("--label", metavar="NAME", help="Label of these issues.")] = (
        "performance-regression"
    ),
    source_repo: Annotated[
        str | None,
        typer.Option(
            "--source-repo",
            metavar="OWNER/NAME",
            help="Where commits are linked (default: the repository; for torch's own commits pytorch/pytorch).",
        ),
    ] = None,
    bisection: Annotated[
        pathlib.Path | None,
        typer.Option("--bisection", metavar="FILE", help="What `torchwarden bisect --json` found, to be told there."),
    ] = None,
    clean_nights: Annotated[
        int | None, typer.Option("--clean-nights", metavar="N", min=1, max=60, help="Instead of the configuration's.")
    ] = None,
    require_confirmation: Annotated[
        bool | None,
        typer.Option(
            "--require-confirmation/--no-require-confirmation",
            help="Only signals that a second run bore out (default: as policy.confirm says, else yes).",
        ),
    ] = None,
) -> int:
    """Open, update, close and reopen one issue for each group of regressions.

    For the verdict of a night. The token comes from TORCHWARDEN_TOKEN or GITHUB_TOKEN and needs `issues: write`. The
    same verdict twice changes nothing. Ends with 0 when the issues say what the verdict says, whatever that is.
    """
    import dataclasses

    from bot import config as configs
    from bot import episode
    from bot import issues as found
    from bot import verdict as verdicts
    from bot.config import Config
    from bot.github import checked

    path = config if config is not None else _CONFIG if _CONFIG.is_file() else None
    chosen: Config | None = None if path is None else configs.load(path)
    rules = episode.Rules() if chosen is None else found.rules(chosen)
    if require_confirmation is not None:
        rules = dataclasses.replace(rules, require_confirmation=require_confirmation)
    if clean_nights is not None:
        rules = dataclasses.replace(rules, clean_nights=clean_nights)
    settings = found.Settings(
        rules=rules, label=checked(label, "label"), owners=() if chosen is None else configs.rules(chosen)
    )
    lines = {} if bisection is None else found.found_by(bisection)
    source = "" if source_repo is None else checked(source_repo, "repository")
    read = verdicts.read(verdict)
    frame = actions.issue_frame(place, source=source)
    client = actions.client(place)
    frame = dataclasses.replace(frame, repository=client.repository, bisection=lines)
    done = found.post(client, read, frame, settings, once=place.dry_run)
    for one in done:
        print(f"issue {one.number or '(new)'} {one.done}{f', {one.url}' if one.url else ''}")
        if one.remark:
            print(f"  {one.remark}")
    if not done:
        print("nothing to do: every issue says what this verdict says")
    return 0
