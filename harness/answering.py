"""Asks lanes for their answers: every benchmark of a session in two modes, each in a worker of its own.

Promises that the answers of a pair are to the same question: workers say what inputs and weights they were given, and a
pair that differs in them is an error. Whatever a benchmark does becomes a reason, never an exception. No torch.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from harness import errand
from harness.errors import UserError
from harness.plan import Group
from harness.pool import Pool, WorkerError
from harness.session import Session, opened

SUFFIXES = (".safetensors", ".pt", ".pth", ".bin")
"""Files of weights, in the order in which a folder is searched for them."""


@dataclass(frozen=True)
class Answers:
    """What one lane answered: tensors by name, as 32-bit floats, and what the items are called.

    `spacings` says how far apart the numbers near 1 are in the type that the lane answered in, by tensor: 1/128 in
    bfloat16, nothing for whole numbers.
    """

    tensors: Mapping[str, np.ndarray]
    labels: tuple[str, ...]
    spacings: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Pair:
    """What both lanes of a benchmark answered. Where one did not, `reason` says why, and `skipped` that none was asked.

    `weights` is the file that they were loaded from, or None for the benchmark's own.
    """

    group: Group
    weights: pathlib.Path | None = None
    base: Answers | None = None
    head: Answers | None = None
    reason: str = ""
    skipped: bool = False


def find_weights(path: pathlib.Path | None, groups: list[Group]) -> dict[str, pathlib.Path]:
    """Files of weights by the name of a group: one file for one benchmark, or a folder that holds `<benchmark>.pt`.

    A folder need not have all. Raises UserError when there is no such path, it has none, or one file is for several.
    """
    if path is None:
        return {}
    if path.is_file():
        if len(groups) != 1:
            raise UserError(
                f"{path} holds the weights of one model, and {len(groups)} are selected; choose one with --only, "
                "or name a folder with a file for each"
            )
        return {groups[0].name: path.resolve()}
    found = {}
    for group in groups:
        for suffix in SUFFIXES:
            if (one := path / f"{group.description.name}{suffix}").is_file():
                found[group.name] = one.resolve()
                break
    if not found:
        raise UserError(f"{path} has no weights of a selected model; name a file, or a folder that holds <model>.pt")
    return found


def ask(session: Session, against: str, mode: str, weights: Mapping[str, pathlib.Path]) -> Iterator[Pair]:
    """The answers of every group of a session in both modes, a pair as soon as it is known.

    `weights` are files by the name of a group. Raises UserError when the build cannot load what the suites need.
    """
    able = [group for group in session.groups if {against, mode} <= {*group.modes}]
    for group in session.groups:
        if group not in able:
            reasons = dict.fromkeys(group.skipped[one] for one in (against, mode) if one in group.skipped)
            yield Pair(group, reason="; ".join(reasons), skipped=True)
    if not able:
        return
    with opened(session, able) as pool:
        for number, group in enumerate(able):
            yield _pair(session, pool, group, (against, mode), weights.get(group.name), number)


def _pair(
    session: Session, pool: Pool, group: Group, modes: tuple[str, str], weights: pathlib.Path | None, number: int
) -> Pair:
    answers, digests = [], []
    for place, mode in enumerate(modes):
        more = {"weights": str(weights) if weights is not None else None}
        sent = errand.Errand(group, mode, "answers", f"answers-{number}-{place}", more)
        try:
            told, path = errand.run(sent, pool, session.plan)
            tensors, spacings = read(path)
            answers.append(Answers(tensors, tuple(map(str, told["labels"])), spacings))
            path.unlink()
        except WorkerError as error:
            return Pair(group, weights, reason=f"{mode}: {error.reason} ({error.status})")
        except (OSError, ValueError, KeyError, TypeError) as error:
            return Pair(group, weights, reason=f"{mode}: the worker left no answers that can be read ({error})")
        digests.append(told["digest"])
    if digests[0] != digests[1]:
        return Pair(group, weights, reason="the two lanes were not given the same inputs and weights")
    return Pair(group, weights, *answers)


def read(path: pathlib.Path) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Tensors and spacings as a worker wrote them (see `harness.answers`). Raises ValueError for anything else."""
    with path.open("rb") as file:
        listed: list[dict[str, Any]] = json.loads(file.readline())
        content = file.read()
    found, spacings, place = {}, {}, 0
    for one in listed:
        shape = tuple(int(number) for number in one["shape"])
        count = math.prod(shape)
        if min(shape, default=0) < 0 or place + 4 * count > len(content):
            raise ValueError("the file is shorter than it says")
        found[str(one["name"])] = np.frombuffer(content, "<f4", count, place).reshape(shape)
        spacings[str(one["name"])] = float(one["spacing"])
        place += 4 * count
    if place != len(content):
        raise ValueError("the file is longer than it says")
    return found, spacings
