"""`torchwarden reference`: look at stored norms, take new ones from a run, compare two files."""

from __future__ import annotations

import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from bot.cli import destinations
from bot.cli.actions import Access
from bot.cli.options import flattened

if TYPE_CHECKING:
    from bot.reference import Header, Reference
    from harness.records import Run

app = typer.Typer(
    help="Show, update and compare stored norms (reference YAML).", no_args_is_help=True, rich_markup_mode=None
)


@app.command()
def show(path: Annotated[pathlib.Path, typer.Argument(metavar="YAML")]) -> None:
    """Show norms, spreads and the share of each test in the score."""
    from bot import numbers
    from bot import reference as references

    stored = references.load(path)
    if stored.header is not None:
        for field in stored.header.__struct_fields__:
            if (value := getattr(stored.header, field)) is not None:
                print(f"{field}: {value}")
    width = max(len(name) for name in stored.tests)
    print(f"{'test':<{width}}  {'norm':>9}  {'spread':>7}  {'launches':>8}  {'threshold':>9}  {'weight':>7}")
    for row in references.rows(stored):
        entry = row.entry
        spread = "" if entry.spread is None else numbers.percent(entry.spread)
        limit = "" if entry.threshold is None else numbers.setting(entry.threshold)
        launches = "" if entry.launches is None else str(entry.launches)
        share = numbers.percent(row.weight)
        seconds = numbers.seconds(entry.norm)
        print(f"{row.test:<{width}}  {seconds:>9}  {spread:>7}  {launches:>8}  {limit:>9}  {share:>7}")


@app.command()
def update(
    runs: Annotated[list[pathlib.Path], typer.Argument(metavar="RUN...", help="A run file, or all shards of one run.")],
    reference: Annotated[pathlib.Path, typer.Option("--reference", metavar="YAML", help="File to change or to make.")],
    lane: Annotated[
        str | None, typer.Option("--lane", metavar="BUILD", help="Build whose figures to take (default: the head).")
    ] = None,
    pin: Annotated[
        str | None,
        typer.Option(
            "--pin", metavar="BUILD", help="How the build is made again, for `torchwarden nightly` (default: as named)."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the difference and write nothing.")] = False,
) -> None:
    """Take norms from a run into a reference, printing the difference.

    Refuses a run in which a planned test failed, is inconclusive or has no result. Tests that were skipped are left
    out. Comments and order of the file stay.
    """
    from bot import comparison
    from bot import reference as references
    from harness import buildspec, records

    if pin is not None:
        buildspec.parse(pin, "pinned")
    if not dry_run:
        destinations.check(reference)
    run = records.join(runs)
    run = _on_lane(run, lane, runs[0])
    _refuse_incomplete(run, runs[0])
    measured = [one for one in comparison.measured(run) if one.status != "skip"]
    entries = references.entries_from_measured(measured)
    old = references.read_text(reference) if reference.exists() else None
    new = references.updated_text(old, entries, _header(run, pin), str(reference))
    difference = references.diff_text(old or "", new, reference.name)
    print(difference or f"{reference} holds these norms already", end="" if difference else "\n")
    if dry_run or new == old:
        return
    if old is not None:
        _note_moves(reference, references.parse(old, str(reference)), references.parse(new, str(reference)), run)
    destinations.write(reference, new)


@app.command()
def accept(
    test: Annotated[str, typer.Argument(metavar="TEST", help="A test's name, or all: every signal of the verdict.")],
    verdict: Annotated[
        pathlib.Path, typer.Option("--verdict", metavar="FILE", help="The verdict that shows the change.")
    ],
    reference: Annotated[
        pathlib.Path, typer.Option("--reference", metavar="YAML", help="The reference whose ledger is added to.")
    ],
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is accepted.")],
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DAY", help="Last day on which it holds (default: for good)."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who accepts it.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the difference and write nothing.")] = False,
) -> None:
    """Accept a change: it is shown from now on and raises nothing, until it grows or its time is over.

    Adds an entry to the ledger beside the reference (`a100.yaml` has `a100.accepted.yaml`), printing the difference.
    """
    from bot import ledger as ledgers
    from bot import quantities
    from bot import reference as references
    from bot import verdict as verdicts

    ends = None if until is None else quantities.day(until, "--until")
    found = verdicts.read(verdict)
    references.load(reference)
    place = ledgers.beside(reference)
    if not dry_run:
        destinations.check(place)
    items = ledgers.accepting(found, test, reason=reason, by=by, until=ends)
    old = references.read_text(place) if place.exists() else None
    new = ledgers.added(old, items, str(place))
    difference = references.diff_text(old or "", new, place.name)
    print(difference or f"{place} holds this already", end="" if difference else "\n")
    if not dry_run and new != old:
        destinations.write(place, new)


@app.command()
@flattened
def propose(
    verdict: Annotated[
        pathlib.Path, typer.Option("--verdict", metavar="FILE", help="The verdict that shows the change.")
    ],
    reference: Annotated[
        str, typer.Option("--reference", metavar="YAML", help="The reference, as a path in the repository.")
    ],
    access: Access,
    accept: Annotated[
        str | None,
        typer.Option("--accept", metavar="TEST", help="Accept a test's change, or all: every signal of the verdict."),
    ] = None,
    reason: Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why it is accepted.")] = "",
    until: Annotated[
        str | None,
        typer.Option("--until", metavar="DAY", help="Last day on which it holds (default: for good)."),
    ] = None,
    by: Annotated[str, typer.Option("--by", metavar="NAME", help="Who accepts it.")] = "",
    better: Annotated[
        bool, typer.Option("--better", help="Take better figures, where the verdict's intervals show them.")
    ] = False,
) -> None:
    """Propose a change of the reference on the default branch, in one pull request that explains it.

    What is proposed later joins the pull request that is open. The default branch is never pushed to, and what people
    have closed is not proposed again. Needs `contents: write` and `pull-requests: write`.
    """
    from bot import proposals, quantities
    from bot import verdict as verdicts
    from bot.cli import actions
    from harness.errors import UserError

    if (accept is not None) == better:
        raise UserError("give either --accept TEST with --reason, or --better")
    ends = None if until is None else quantities.day(until, "--until")
    found = verdicts.read(verdict)
    proposals.branch_of(reference)
    if accept is not None:
        change = proposals.accepting(reference, found, accept, reason=reason, by=by, until=ends)
    client = actions.client(access)
    if better:
        content = proposals.at_default(client, reference)
        if content is None:
            raise UserError(f"{reference} is not on the default branch; make it with `torchwarden reference update`")
        change = proposals.better(reference, content, found)
    posted = proposals.propose(client, change)
    which = f"pull request {posted.number}: " if posted.number else ""
    print(f"{which}{posted.done}{f', {posted.url}' if posted.url else ''}")


@app.command()
def diff(
    old: Annotated[pathlib.Path, typer.Argument(metavar="OLD")],
    new: Annotated[pathlib.Path, typer.Argument(metavar="NEW")],
) -> None:
    """Compare the norms of two files, test by test."""
    from bot import numbers
    from bot import reference as references

    changes = references.diff(references.load(old), references.load(new))
    for change in changes:
        before, after = (entry.norm if entry else None for entry in (change.old, change.new))
        amount = f"  {numbers.signed_percent(change.change)}" if change.change else ""
        times = numbers.transition(before, after) if before and after else numbers.seconds(before or after)
        print(f"{change.kind:<7}  {change.test}  {times}{amount}")
    if not changes:
        print("no difference")


def _note_moves(path: pathlib.Path, old: Reference, new: Reference, run: Run) -> None:
    """Put into the ledger by how much norms have moved, before they do."""
    from bot import ledger as ledgers
    from bot import reference as references

    place = ledgers.beside(path)
    text = references.read_text(place) if place.exists() else None
    added = ledgers.added(text, ledgers.moves(old, new, run.header), str(place))
    if added != text:
        destinations.write(place, added)


def _on_lane(run: Run, build: str | None, path: pathlib.Path) -> Run:
    """The run as if `build` were its head. Raises UserError when it has no such build."""
    import msgspec

    from harness.errors import UserError

    if build is None:
        return run
    names = [one.name for one in run.header.builds]
    if build not in names:
        raise UserError(f"{path} has no build {build!r}; choose {' or '.join(names)}")
    plan = msgspec.structs.replace(run.header.plan, head=build)
    return msgspec.structs.replace(run, header=msgspec.structs.replace(run.header, plan=plan))


def _refuse_incomplete(run: Run, path: pathlib.Path) -> None:
    from harness.errors import UserError
    from harness.testname import listed

    if run.missing:
        raise UserError(
            f"{path} has no result for {len(run.missing)} of its {len(run.header.plan.tests)} planned tests "
            f"({listed(run.missing)}), so it cannot become a reference; go on with --resume, or name all shards"
        )


def _header(run: Run, pin: str | None) -> Header:
    from bot.reference import Header
    from harness import buildspec

    plan, machine = run.header.plan, run.header.machine
    build = next((one for one in run.header.builds if one.name == plan.head), None)
    return Header(
        machine=machine.name,
        fingerprint=machine.fingerprint,
        build=plan.head,
        pin=pin or (build.specification if build and buildspec.is_portable(build.specification) else None),
        torch=build.torch_version if build else None,
        date=run.header.started,
        run_id=run.header.run,
        size=plan.size,
        threads=plan.threads,
    )
