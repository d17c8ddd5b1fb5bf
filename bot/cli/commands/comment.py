"""`torchwarden comment`: the verdict on the pull request."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import Annotated, cast

import typer

from bot import quantities
from bot.cli.actions import Place
from bot.cli.options import flattened


@flattened
def comment(
    verdict: Annotated[pathlib.Path, typer.Argument(metavar="VERDICT", help="Written by `torchwarden judge --out`.")],
    place: Place,
    pr: Annotated[
        int | None, typer.Option("--pr", metavar="N", min=1, help="Pull request (default: that of the event).")
    ] = None,
    mode: Annotated[
        str,
        typer.Option("--mode", metavar="MODE", help="always, on-change (begin only for a change) or never."),
    ] = "always",
) -> int:
    """Say the verdict in one comment on the pull request, edited in place.

    The token comes from TORCHWARDEN_TOKEN or GITHUB_TOKEN and needs `pull-requests: write`. Pull request and commit
    come from the event of the workflow or from --pr and --head-sha, never from the verdict. Ends with 0 when the
    comment stands, whatever the verdict is.
    """
    from bot import comment as comments
    from bot import event
    from bot import verdict as verdicts
    from bot.cli import actions
    from harness.errors import UserError

    quantities.known(mode, comments.MODES, "mode")
    chosen = cast(comments.Mode, mode)
    about = actions.subject() if pr is None or place.head_sha is None else event.Subject()
    sha = place.head_sha or about.head_sha
    if sha is None:
        raise UserError("the event does not say which commit was measured; give --head-sha")
    frame = actions.frame(place, sha)
    found = verdicts.read(verdict)
    client = actions.client(dataclasses.replace(place, head_sha=sha))
    number = pr or about.pull_request
    if number is None and about.by_commit:
        number = event.pull_request_at(client, sha)
        if number is None:
            print(f"no open pull request is at {sha[:10]} (any more): nothing to comment on")
            return 0
    if number is None:
        raise UserError("the event is not of a pull request; give --pr")
    run, attempt = actions.run_number()
    posted = comments.post(client, number, found, frame, mode=chosen, run=run, attempt=attempt)
    print(f"comment on pull request {number}: {posted.done}{f', {posted.url}' if posted.url else ''}")
    return 0
