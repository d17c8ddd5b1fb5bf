"""`torchwarden list`: which tests there are, and why some cannot be."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bot import quantities

if TYPE_CHECKING:
    from harness.benchmark import Description

USUAL = ("eager", "inductor", "jit")


def list_tests(
    suite: Annotated[
        list[str] | None,
        typer.Option("--suite", metavar="S", help="A built-in suite, or a file my_suite.py. Repeatable."),
    ] = None,
    only: Annotated[
        str | None, typer.Option("--only", metavar="REGEX", help="Only tests whose name matches, or a whole name.")
    ] = None,
    listed: Annotated[
        str, typer.Option("--list", metavar="NAME", help="Models of timm and huggingface: current, 2025, earlier, all.")
    ] = "current",
    type: Annotated[str, typer.Option("--type", metavar="LIST", help="Test types.")] = "eval,train",
    modes: Annotated[
        str | None, typer.Option("--modes", metavar="LIST", help=f"Modes (default: {','.join(USUAL)}).")
    ] = None,
    device: Annotated[str, typer.Option("--device", metavar="LIST", help="Devices.")] = "cpu",
    size: Annotated[str | None, typer.Option("--size", metavar="S", help="Say what cannot run in this size.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """List every test, and why some cannot run.

    With category, domain, sizes and devices of each benchmark; --json gives all that is known.
    """
    from harness import benchmark, plan
    from harness.errors import UserError

    types, devices = quantities.words(type, "--type"), quantities.words(device, "--device")
    chosen = quantities.words(modes, "--modes") if modes else USUAL
    for word, given, known in (
        ("type", types, benchmark.TYPES),
        ("device", devices, benchmark.DEVICES),
    ):
        for value in given:
            quantities.known(value, known, word)
    for mode in chosen:
        plan.check_mode(mode)
    suites = suite or list(benchmark.BUILTIN_SUITES)
    described = plan.describe_suites(suites, environment=dict(os.environ))
    descriptions = plan.of_list(described, listed)
    if size is not None:
        quantities.known(size, sorted({name for one in descriptions for name in one.sizes}), "size")
    rows = [
        row for row in _rows(descriptions, types, chosen, devices, size) if only is None or _matches(only, row["test"])
    ]
    if not rows:
        raise UserError(
            f"no test of {', '.join(suites)} matches --only {only!r}; leave it out to see all names"
            + (
                f", or see models that are not on the list {listed} too (--list all)"
                if descriptions != described
                else ""
            )
        )
    print(json.dumps(rows, indent=2) if as_json else "\n".join(_text(rows)))


def _matches(only: str, test: str) -> bool:
    from harness.errors import UserError

    try:
        # A whole name holds brackets, which a regex would read as a set of characters.
        whole = re.fullmatch(r"test_\w+\[[^\[\]]+\]", only) is not None
        return test == only if whole else re.search(only, test) is not None
    except re.error as error:
        raise UserError(f"--only {only!r} is not a regular expression ({error})") from None


def _rows(
    descriptions: Iterable[Description],
    types: Iterable[str],
    modes: Iterable[str],
    devices: Iterable[str],
    size: str | None,
) -> Iterator[dict[str, Any]]:
    from harness.plan import test_name

    for one in descriptions:
        for device in devices:
            for type in types:
                for mode in modes:
                    reason = one.why_not(type, device, mode)
                    if size is not None and size not in one.sizes:
                        reason = f"{one.name} has no size {size}"
                    yield {
                        "test": test_name(type, one.name, device, mode),
                        "suite": one.suite,
                        "benchmark": one.name,
                        "category": one.category,
                        "domain": one.domain,
                        "summary": one.summary,
                        "type": type,
                        "device": device,
                        "mode": mode,
                        "sizes": {name: dict(numbers) for name, numbers in one.sizes.items()},
                        "devices": list(one.devices),
                        "modes": [other for other in modes if one.why_not(type, device, other) is None],
                        "parameters": dict(one.parameters),
                        "nondeterministic": one.nondeterministic,
                        "lists": list(one.lists),
                        "packages": list(one.packages),
                        "answers": one.answers,
                        "weights": one.weights,
                        "supported": reason is None,
                        "reason": reason,
                    }


def _text(rows: list[dict[str, Any]]) -> Iterator[str]:
    """A paragraph per benchmark, a line per test."""
    width = max(len(row["test"]) for row in rows)
    last = None
    for row in rows:
        if (row["suite"], row["benchmark"]) != last:
            if last is not None:
                yield ""
            last = (row["suite"], row["benchmark"])
            yield f"{row['suite']}/{row['benchmark']}  {row['category']}, {row['domain']}"
            if row["summary"]:
                yield f"  {row['summary']}"
            yield f"  devices: {', '.join(row['devices'])}; sizes: {'; '.join(_sizes(row['sizes']))}"
            if row["parameters"]:
                counts = (f"{number:,} in {size}" for size, number in row["parameters"].items())
                yield f"  parameters: {', '.join(counts)}"
        yield f"  {row['test']:<{width}}" + (f"  not supported: {row['reason']}" if row["reason"] else "  yes")
    tests = sum(row["supported"] for row in rows)
    yield ""
    yield f"{tests} of {len(rows)} tests can run"


def _sizes(sizes: dict[str, dict[str, Any]]) -> Iterator[str]:
    for name, numbers in sizes.items():
        yield f"{name} ({', '.join(f'{key} {value}' for key, value in numbers.items())})" if numbers else name
