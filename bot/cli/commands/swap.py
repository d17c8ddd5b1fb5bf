"""`torchwarden swap`: which part of the stack a change comes from, torch or what lies around it."""

from __future__ import annotations

import dataclasses
import math
import pathlib
from typing import TYPE_CHECKING, Annotated

import typer

from bot import quantities
from bot.cli import destinations
from bot.cli.boundary import INTERRUPTED
from bot.cli.options import Builds, Judging, Method, Selection, flattened

if TYPE_CHECKING:
    from collections.abc import Mapping

    from bot.verdict import TestVerdict
    from harness.session import Session

BY_TORCH, BY_OTHERS = "torch", "others"


@flattened
def swap(
    selection: Selection,
    builds: Builds,
    method: Method,
    judging: Judging,
    out_dir: Annotated[
        pathlib.Path, typer.Option("--out-dir", metavar="DIR", help="Folder for the two runs.")
    ] = pathlib.Path("out"),
) -> int:
    """Take a change apart where base and head differ in torch and in other packages.

    Makes a third build with the head's torch and the base's other packages, measures base against it and it against
    the head, and prints what each part costs. A part on another machine is measured by `run --confirm` there.
    """
    from bot import stack
    from bot.cli import building, judged, measuring
    from harness.errors import UserError

    destinations.check_new_folder(out_dir)
    judged.policy_of(judging, quantities.percentage(method.threshold, "--threshold"))
    if builds.base is None:
        raise UserError("name what to compare with: --base")
    base, head = building.resolve(building.asked(builds), builds, selection.device)
    parts = stack.parts(base, head)
    mixed = f"mixed={stack.mixed(base, head)}"
    for part, packages in ((BY_TORCH, parts.torch), (BY_OTHERS, parts.others)):
        print(f"{part}: {', '.join(f'{name} {old} → {new}' for name, (old, new) in packages.items())}")
    out_dir.mkdir(parents=True, exist_ok=True)
    steps = {
        BY_TORCH: dataclasses.replace(builds, head=mixed, beside=None),
        BY_OTHERS: dataclasses.replace(builds, base=mixed, beside=None),
    }
    sessions: dict[str, Session] = {
        part: measuring.prepare(selection, chosen, method, command=measuring.command_line())
        for part, chosen in steps.items()
    }
    found: dict[str, Mapping[str, TestVerdict]] = {}
    for part, session in sessions.items():
        measured = measuring.measure(session, destinations.fresh_run(out_dir, f"swap-{part}"))
        if not measured.finished:
            return INTERRUPTED
        verdict = judged.judge([measured.path], judging, reference=None, threshold=None)
        found[part] = {entry.test: entry for entry in verdict.tests}
    print("\n".join(_table(found)))
    return 0


def _table(found: Mapping[str, Mapping[str, TestVerdict]]) -> list[str]:
    from bot import numbers

    tests = [test for test in found[BY_TORCH] if test in found[BY_OTHERS]]
    width = max(map(len, tests), default=4)
    lines = [f"{'test':<{width}}  {'by torch':>16}  {'by other packages':>18}  {'together':>10}"]
    for test in tests:
        ours, theirs = found[BY_TORCH][test], found[BY_OTHERS][test]
        if ours.change is None or theirs.change is None:
            lines.append(f"{test:<{width}}  {ours.reason or theirs.reason or 'not measured'}")
            continue
        whole = math.expm1(math.log1p(ours.change) + math.log1p(theirs.change))
        cells = [numbers.change(one.change, one.low, one.high) for one in (ours, theirs)]
        lines.append(f"{test:<{width}}  {cells[0]:>16}  {cells[1]:>18}  {numbers.signed_percent(whole):>10}")
    return lines
