"""What GitHub Actions tells a step in its environment, and the options of the commands that speak to GitHub.

Promises that the environment is read here and nowhere below, that an option counts before it, and that the token is
passed on and never shown.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from harness.errors import UserError

if TYPE_CHECKING:
    from bot.event import Subject
    from bot.github import Client
    from bot.report.issue import Frame as IssueFrame
    from bot.report.markdown import Frame

_PUBLIC = "https://api.github.com"


@dataclasses.dataclass(frozen=True)
class Access:
    """Which repository on GitHub, and as whom. What is not given comes from the environment of Actions."""

    repo: Annotated[
        str | None, typer.Option("--repo", metavar="OWNER/NAME", help="Repository (default: GITHUB_REPOSITORY).")
    ] = None
    api_url: Annotated[
        str | None,
        typer.Option("--api-url", metavar="URL", help=f"REST API (default: GITHUB_API_URL, else {_PUBLIC})."),
    ] = None
    author: Annotated[
        str | None,
        typer.Option("--author", metavar="LOGIN", help="Account of the token (default: GitHub is asked)."),
    ] = None
    run_url: Annotated[
        str | None, typer.Option("--run-url", metavar="URL", help="Linked as the run (default: this workflow run).")
    ] = None
    page_url: Annotated[str | None, typer.Option("--page-url", metavar="URL", help="Linked as the page.")] = None
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print every call that would be made, and make none: needs no token."),
    ] = False


@dataclasses.dataclass(frozen=True)
class Place(Access):
    """Access, and which commit is spoken of under which name."""

    head_sha: Annotated[
        str | None,
        typer.Option("--head-sha", metavar="SHA", help="Commit that was measured (default: that of the event)."),
    ] = None
    config_name: Annotated[
        str,
        typer.Option("--config-name", metavar="NAME", help="Each name has its own comment and check."),
    ] = "default"
    artifact_url: Annotated[
        str | None, typer.Option("--artifact-url", metavar="URL", help="Linked as the files of the run.")
    ] = None


def client(place: Access) -> Client:
    """The client of the repository. Raises UserError when repository or token are missing.

    A dry run reads files from this folder instead.
    """
    from bot.calls import Dry, Patience, Sender
    from bot.github import Client

    repository = place.repo or os.environ.get("GITHUB_REPOSITORY")
    if not repository:
        raise UserError("no repository is named; give --repo OWNER/NAME")
    url = place.api_url or os.environ.get("GITHUB_API_URL") or _PUBLIC
    if place.dry_run:
        head = place.head_sha or "" if isinstance(place, Place) else "0" * 40
        return Client(
            repository,
            Dry(print, url=url, head_sha=head, login=place.author or "dry-run", files=_local),
            login=place.author,
            patience=Patience(sleep=lambda seconds: None),
        )
    token = os.environ.get("TORCHWARDEN_TOKEN") or os.environ.get("GITHUB_TOKEN")
    if not token:
        raise UserError("there is no token; set TORCHWARDEN_TOKEN or GITHUB_TOKEN, or look first with --dry-run")
    return Client(repository, Sender(token, url=url), login=place.author)


def _local(path: str) -> bytes | None:
    place = pathlib.Path(path)
    return place.read_bytes() if place.is_file() else None


def event_file(path: pathlib.Path | None) -> bytes:
    """The payload of an event: of the file, else of this workflow run. Raises UserError where there is none."""
    from bot import event, inputs

    named = path if path is not None else pathlib.Path(os.environ.get("GITHUB_EVENT_PATH") or "")
    if path is None and not os.environ.get("GITHUB_EVENT_PATH"):
        raise UserError("there is no event; run this in an issue_comment workflow, or give --event FILE")
    hint = "give --event FILE, the payload of an issue_comment event"
    return inputs.read(named, event.MOST_BYTES, wanted=hint, too_large=hint)


def subject() -> Subject:
    """What the event of this workflow run is about; outside Actions nothing is known of it. Raises UserError."""
    from bot import event, inputs

    name, path = os.environ.get("GITHUB_EVENT_NAME", ""), os.environ.get("GITHUB_EVENT_PATH")
    if not path:
        return event.Subject()
    content = inputs.read(
        pathlib.Path(path), event.MOST_BYTES, wanted="give --pr and --head-sha", too_large="give --pr and --head-sha"
    )
    return event.subject(name, content)


def frame(place: Place, head_sha: str) -> Frame:
    """What stands beside the verdict. Raises UserError for names and addresses that cannot be shown."""
    from bot import event
    from bot.github import checked
    from bot.report.markdown import Frame

    return Frame(
        configuration=event.checked_configuration(place.config_name),
        head_sha=checked(head_sha, "commit"),
        run_url=_run_url(place),
        artifact_url=event.checked_link(place.artifact_url or "", "--artifact-url"),
        page_url=event.checked_link(place.page_url or "", "--page-url"),
    )


def issue_frame(place: Access, *, source: str = "") -> IssueFrame:
    """What stands beside the verdict in an issue. Raises UserError for addresses that cannot be shown."""
    from bot import event
    from bot.report.issue import Frame as IssueFrame

    web = os.environ.get("GITHUB_SERVER_URL") or "https://github.com"
    return IssueFrame(
        source=source,
        web=event.checked_link(web.rstrip("/"), "GITHUB_SERVER_URL"),
        run_url=_run_url(place),
        page_url=event.checked_link(place.page_url or "", "--page-url"),
    )


def _run_url(place: Access) -> str:
    from bot import event

    run_url = place.run_url
    if run_url is None:
        parts = [os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "RUN_ID")]
        run_url = "{}/{}/actions/runs/{}".format(*parts) if all(parts) else ""
    return event.checked_link(run_url, "--run-url")


def run_number() -> tuple[int, int]:
    """Number and attempt of this workflow run; zeros outside Actions."""
    number, attempt = (os.environ.get(name, "") for name in ("GITHUB_RUN_ID", "GITHUB_RUN_ATTEMPT"))
    return int(number) if number.isdecimal() else 0, int(attempt) if attempt.isdecimal() else 0


def add_summary(text: str) -> None:
    """Put Markdown into the job's summary, unless it is there already; does nothing outside Actions.

    Raises UserError when it cannot be written.
    """
    path = os.environ.get("GITHUB_STEP_SUMMARY")
    if not path:
        return
    try:
        with pathlib.Path(path).open("a+", encoding="utf-8") as file:
            file.seek(0)
            if text not in file.read():
                file.write(text)
    except OSError as error:
        raise UserError(f"the job's summary {path} cannot be written ({error.strerror}); look at its folder") from None
