"""`torchwarden nightly`: tonight's build beside the pinned one, and the machine against its stored norms."""

from __future__ import annotations

import dataclasses
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli.options import Builds, Concluding, Judging, Method, Selection, flattened

if TYPE_CHECKING:
    from bot.reference import Header

PINNED = "pinned"


@flattened
def nightly(
    selection: Selection,
    builds: Builds,
    method: Method,
    judging: Judging,
    concluding: Concluding,
    reference: Annotated[
        pathlib.Path,
        typer.Option("--reference", metavar="YAML", help="Stored norms, with the build they were taken of."),
    ],
) -> int:
    """Measure tonight's build (--head) interleaved with the one that the reference pins, and judge it by that.

    The pinned build against its stored norms then tells how far the machine has drifted, which does not touch the
    verdict. Where the pinned build cannot be had, the norms alone are used, and the report says so. --base replaces
    the pinned build. Confirms, reports and ends as `torchwarden bench` does.
    """
    from bot import reference as references
    from bot.cli import benching, building, measuring
    from harness.errors import UserError

    policy = benching.check(method, judging, concluding, reference)
    header = references.load(reference).header
    notes: tuple[str, ...] = ()
    if builds.base is None:
        pin = _pin(header)
        pinned = dataclasses.replace(builds, base=None if pin is None else f"{PINNED}={pin}")
        lack = "the reference names none; write one with `torchwarden reference update --pin`"
        if pin is not None:
            try:
                building.resolve(building.asked(pinned)[:1], pinned, selection.device)
            except UserError as error:
                pin, lack = None, str(error)
        if pin is None:
            notes = (f"There is no pinned build to measure beside ({lack}), so stored norms decide alone.",)
        else:
            builds = pinned
    session = measuring.prepare(selection, builds, method, command=measuring.command_line())
    return benching.run(dataclasses.replace(session, notes=notes), policy, judging, concluding, reference)


def _pin(header: Header | None) -> str | None:
    """How the reference's build is made again: as it says itself, or torch alone in the version it names."""
    if header is None:
        return None
    if header.pin is not None:
        return header.pin
    # What stands behind the plus sign is how it was built, which no index tells.
    return None if header.torch is None else f"torch=={header.torch.partition('+')[0]}"
