"""`torchwarden validate`: whether a lane changes what the models of a suite answer."""

from __future__ import annotations

import datetime
import pathlib
from typing import Annotated

import typer

from bot.cli import destinations
from bot.cli.options import Builds, Method, Selection

ANSWERS, PAGE = "answers.json", "answers.html"


def validate(
    suite: Annotated[str, typer.Argument(metavar="SUITE", help="A built-in suite, or a file my_suite.py.")],
    mode: Annotated[str, typer.Option("--mode", metavar="MODE", help="Mode that is judged, such as eager_bf16.")],
    against: Annotated[str, typer.Option("--against", metavar="MODE", help="Mode to compare with.")] = "eager",
    weights: Annotated[
        pathlib.Path | None,
        typer.Option("--weights", metavar="PATH", help="Trained weights: a file, or a folder with <model>.pt in it."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="REGEX", help="Only tests whose name matches, or a whole name.")
    ] = None,
    size: Annotated[str, typer.Option("--size", metavar="S", help="Size of models and inputs.")] = "small",
    head: Annotated[str, typer.Option("--head", metavar="BUILD", help="Build to ask.")] = "current",
    device: Annotated[str, typer.Option("--device", metavar="DEVICE", help="cpu or cuda.")] = "cpu",
    threads: Annotated[int, typer.Option("--threads", metavar="N", help="Threads of a step.")] = 1,
    cpus: Annotated[
        str | None, typer.Option("--cpus", metavar="LIST", help="CPUs to pin to (default: the last ones).")
    ] = None,
    seed: Annotated[
        int, typer.Option("--seed", metavar="N", min=0, max=2**31 - 1, help="Of weights and inputs.")
    ] = 1337,
    launch_timeout: Annotated[
        str,
        typer.Option("--launch-timeout", metavar="TIME", help="Building, compiling and answering that takes longer."),
    ] = "1800s",
    out_dir: Annotated[
        pathlib.Path, typer.Option("--out-dir", metavar="DIR", help=f"Folder for {ANSWERS} and {PAGE}.")
    ] = pathlib.Path("out"),
) -> int:
    """Tell whether a mode changes what models answer.

    Runs both modes on the same inputs and weights, and compares by the kind of answer: classes, boxes, spans, order of
    neighbours, else numbers; with random weights always by numbers or boxes. Writes both side by side as a page and
    JSON. Ends with 1 when answers change beyond the limits on the page, with 3 when a model could not be compared.
    """
    from bot import answers
    from bot.cli import measuring
    from bot.report import answers as report
    from harness import __version__, answering
    from harness.benchmark import suite_name
    from harness.errors import UserError

    if mode == against:
        raise UserError(f"--mode and --against are both {mode}; name two modes")
    for name in (mode, against):
        if "," in name:
            raise UserError(f"{name!r} names several modes; name one with --mode and one with --against")
    destinations.check_new_folder(out_dir)
    if weights is not None and not weights.exists():
        raise UserError(f"{weights} is not there; name a file of weights, or a folder that holds <model>.pt")
    selection = Selection(
        suite=[suite], only=_both(only, against, mode), type="eval", modes=f"{against},{mode}", device=device, size=size
    )
    method = Method(
        threads=threads, cpus=cpus, nurseries=1, code_pages="shared", seed=seed, launch_timeout=launch_timeout
    )
    session = measuring.prepare(selection, Builds(head=head), method, command=measuring.command_line())
    groups = [group for group in session.groups if group.modes]
    found = answering.find_weights(weights, groups)
    started = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    models, pictures = [], {}
    for pair in answering.ask(session, against, mode, found):
        models.append(answers.compare(pair))
        if pair.base is not None:
            pictures[pair.group.description.name] = answers.images(pair.base)
    validation = answers.Validation(
        tool_version=__version__,
        started=started,
        command=session.command,
        machine=session.machine,
        build=session.builds[-1],
        suite=suite_name(suite),
        size=size,
        device=device,
        against=against,
        mode=mode,
        models=tuple(models),
    )
    out_dir.mkdir(parents=True, exist_ok=True)
    destinations.write(out_dir / ANSWERS, answers.encode(validation))
    destinations.write(out_dir / PAGE, report.page(validation, pictures))
    print(report.text(validation))
    print(f"answers: {out_dir / ANSWERS}\npage:    {out_dir / PAGE}")
    return answers.exit_code(validation)


def _both(only: str | None, against: str, mode: str) -> str | None:
    """A selection that takes a model in both modes: the name of a test in one of them stands for its model."""
    for name in (against, mode):
        if only is not None and only.endswith(f"-{name}]") and only.startswith("test_"):
            return only.removeprefix("test_").removesuffix(f"-{name}]").replace("[", r"\[")
    return only
