"""`torchwarden check`: the verdict as a check on the commit, and in the job's summary."""

from __future__ import annotations

import dataclasses
import pathlib
import sys
from typing import Annotated, cast

import typer

from bot import quantities
from bot.cli.actions import Place
from bot.cli.options import flattened


@flattened
def check(
    verdict: Annotated[pathlib.Path, typer.Argument(metavar="VERDICT", help="Written by `torchwarden judge --out`.")],
    place: Place,
    policy: Annotated[
        str,
        typer.Option("--policy", metavar="POLICY", help="gate (a regression fails the check) or advise (never does)."),
    ] = "advise",
) -> int:
    """Say the verdict as a check on the commit that was measured.

    A check run needs `checks: write`; without it a commit status is set (`statuses: write`). The summary of the job is
    written always. A verdict that cannot be read gives a neutral check: our trouble says nothing about the change.
    Ends with 0 when the check stands, whatever it concludes.
    """
    from bot import checks
    from bot import verdict as verdicts
    from bot.cli import actions
    from bot.report import markdown
    from harness.errors import UserError

    quantities.known(policy, checks.POLICIES, "policy")
    chosen = cast(checks.Policy, policy)
    sha = place.head_sha or actions.subject().head_sha
    if sha is None:
        raise UserError("the event does not say which commit was measured; give --head-sha")
    frame = actions.frame(place, sha)
    try:
        found = verdicts.read(verdict)
        wanted, summary = checks.check(found, frame, chosen), markdown.summary(found, frame)
    except Exception as error:
        # Whatever it is, the commit must not be left with a red or a missing check because of us.
        why = str(error) if isinstance(error, UserError) else f"a defect of torchwarden ({type(error).__name__})"
        print(f"torchwarden: {why}", file=sys.stderr)
        wanted = checks.crash(why)
        summary = f"### ⚪ {wanted.title}\n\n{wanted.summary}"
    actions.add_summary(summary)
    client = actions.client(dataclasses.replace(place, head_sha=sha))
    posted = checks.post(client, sha, wanted, frame)
    print(f"{posted.kind} {posted.done}: {posted.conclusion}{f', {posted.url}' if posted.url else ''}")
    return 0
