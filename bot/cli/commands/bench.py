"""`torchwarden bench`: run, judge and report, for people."""

from __future__ import annotations

import pathlib
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import destinations, quantities
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Builds, Judging, Method, Reference, Selection, flattened

if TYPE_CHECKING:
    from bot.verdict import Verdict

VERDICT, COMMENT, PAGE = "verdict.json", "comment.md", "index.html"


@flattened
def bench(
    selection: Selection,
    builds: Builds,
    method: Method,
    judging: Judging,
    reference: Reference = None,
    confirm: Annotated[
        bool, typer.Option("--confirm/--no-confirm", help="Measure suspect tests again before they are signals.")
    ] = True,
    confirm_budget: Annotated[
        str | None, typer.Option("--confirm-budget", metavar="TIME", help="Most time per test then (default: 3x).")
    ] = None,
    out_dir: Annotated[
        pathlib.Path,
        typer.Option(
            "--out-dir", metavar="DIR", help="Folder for the run (a fresh name each time), verdict and reports."
        ),
    ] = pathlib.Path("out"),
) -> int:
    """Measure, judge and report in one go.

    Tests with a signal, and undecided ones that may have one, are measured again with fresh launches and more time:
    what that does not bear out is no signal. Prints the terminal report and the comment as it would be on a pull
    request, and writes both and a page with plots.
    Without --base one build is measured, which is judged against --reference where given; several --modes are compared
    with each other. Ends with 0, 1 or 3 as `torchwarden judge` does.
    """
    from bot import numbers, report, verdict
    from bot import reference as references
    from bot.cli import confirming, judged, measuring, showing
    from bot.policy import rule

    destinations.check_new_folder(out_dir)
    again = None if confirm_budget is None else quantities.duration(confirm_budget, "--confirm-budget")
    policy = judged.policy_of(judging, quantities.percentage(method.threshold, "--threshold"))
    if reference is not None:
        references.load(reference)
    session = measuring.prepare(selection, builds, method, command=measuring.command_line())
    out_dir.mkdir(parents=True, exist_ok=True)
    measured = measuring.measure(session, destinations.fresh_run(out_dir))
    if not measured.finished:
        print(f"interrupted; {measuring.summary(measured, session.plan)} and kept in {measured.path}")
        print(f"go on with `torchwarden run --resume --out {measured.path}` and the same options, then judge that file")
        return INTERRUPTED
    found = judged.judge([measured.path], judging, reference=reference, threshold=None)
    second = confirming.session_for(session, found, again) if confirm and rule(policy).intervals else None
    if second is not None:
        print(f"measuring again what may be a signal: {numbers.count(len(second.plan.tests), 'test')}", file=sys.stderr)
        confirmed = measuring.measure(second, destinations.fresh_run(out_dir, "confirm"))
        if confirmed.finished:
            found = judged.judge(
                [measured.path], judging, reference=reference, threshold=None, confirmations=[confirmed.path]
            )
        else:
            print("interrupted while measuring again; what follows is not confirmed")
    comment = report.render(found, "comment")
    destinations.write(out_dir / VERDICT, verdict.encode(found).decode())
    destinations.write(out_dir / COMMENT, comment)
    page = _write_page(found, out_dir / PAGE)
    showing.show(found)
    print(f"\nThe comment as it would be on the pull request ({out_dir / COMMENT}):\n")
    showing.write(comment)
    print(f"\nsamples: {measured.path}\nverdict: {out_dir / VERDICT}\npage:    {page}")
    return verdict.EXIT_CODES[found.outcome]


def _write_page(found: Verdict, path: pathlib.Path) -> str:
    """Write the page and return where it is, or why there is none: that must not cost the verdict of a long run."""
    from bot import report
    from harness.errors import UserError

    # The page of an earlier run would pass for this one's.
    path.unlink(missing_ok=True)
    try:
        destinations.write(path, report.render(found, "html"))
    except UserError as error:
        return f"none: {error}"
    return str(path)
