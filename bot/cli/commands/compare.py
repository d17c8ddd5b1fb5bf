"""`torchwarden compare`: runs that were not measured side by side."""

from __future__ import annotations

import pathlib
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli.options import Judging, flattened

if TYPE_CHECKING:
    from bot.acrossruns import Difference


@flattened
def compare(
    judging: Judging,
    runs: Annotated[list[pathlib.Path], typer.Argument(metavar="A B...", help="Run files; each later one against A.")],
    threshold: Annotated[
        str, typer.Option("--threshold", metavar="PERCENT", help="Change of a test that counts as a signal.")
    ] = "7%",
) -> int:
    """Compare the heads of two or more runs test by test.

    Weaker evidence than base and head in one run, because the machine may have changed in between. Ends with 0, 1 or 3
    as `torchwarden judge` does; with several runs with the gravest of their codes (1, then 3, then 0).
    """
    from bot import acrossruns
    from bot.cli import judged
    from bot.verdict import EXIT_CODES
    from harness import records
    from harness.errors import UserError

    if len(runs) < 2:
        raise UserError("compare needs two run files or more; name the earlier one first")
    policy = judged.policy_of(judging, quantities.percentage(threshold, "--threshold"))
    first, *others = [records.read(path) for path in runs]
    codes = set()
    for path, other in zip(runs[1:], others, strict=True):
        found = acrossruns.compare(first, other, policy)
        print(f"{path} against {runs[0]}: {found.outcome}")
        print("\n".join(_text(found)))
        codes.add(EXIT_CODES[found.outcome])
    return next(code for code in (1, 3, 0) if code in codes)


def _text(found: Difference) -> Iterator[str]:
    from bot import numbers

    for warning in found.warnings:
        yield f"warning: {warning}"
    width = max((len(entry.test) for entry in found.tests), default=0)
    for entry in found.tests:
        shown = numbers.change(entry.change, entry.low, entry.high) if entry.change is not None else ""
        times = numbers.transition(entry.base_seconds, entry.head_seconds) if entry.change is not None else ""
        reason = f"  {entry.reason}" if entry.reason else ""
        yield f"  {entry.test:<{width}}  {entry.outcome:<12}  {shown:<18}  {times}{reason}".rstrip()
