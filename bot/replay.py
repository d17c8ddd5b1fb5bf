"""Verdicts from files, and verdicts derived again from the same files.

Promises that a verdict names, with digests, all that it was derived from, and that `verify` accepts it only when the
same files still lead to the same verdict. What it reads may be hostile: names of inputs are base names, never paths.
"""

from __future__ import annotations

import hashlib
import math
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Literal

import msgspec

from bot import explanation as explanations
from bot import ledger as ledgers
from bot import reference as references
from bot import verdict as verdicts
from bot.judge import judge
from bot.verdict import Input, Policy, Verdict
from harness import __version__, records
from harness.errors import UserError
from harness.testname import quoted

_RELATIVE_TOLERANCE = 1e-9
"""Other versions of numpy and other CPUs may round a logarithm differently; nothing larger is a rounding."""

_NOT_COMPARED = frozenset({"tool_version"})


def judge_files(
    runs: Sequence[pathlib.Path],
    *,
    policy: Policy | None = None,
    reference: pathlib.Path | None = None,
    confirmations: Sequence[pathlib.Path] = (),
    ledger: pathlib.Path | None = None,
    explanation: pathlib.Path | None = None,
) -> Verdict:
    """The verdict on a run file, or on all shards of a run, with its inputs named.

    `confirmations` are the files of a second run, `ledger` that of accepted changes.

    Raises UserError for files that cannot be read or do not belong together.
    """
    inputs = [input_of(path, "run") for path in runs]
    norms = None
    if reference is not None:
        inputs.append(input_of(reference, "reference"))
        norms = references.load(reference)
    accepted = None
    if ledger is not None:
        inputs.append(input_of(ledger, "ledger"))
        accepted = ledgers.load(ledger)
    second = None
    if confirmations:
        inputs += [input_of(path, "confirmation") for path in confirmations]
        second = records.join(confirmations)
    told = None
    if explanation is not None:
        inputs.append(input_of(explanation, "explanation"))
        told = explanations.read(explanation)
    return judge(
        records.join(runs),
        policy=policy,
        reference=norms,
        confirmation=second,
        ledger=accepted,
        explanations=told,
        inputs=inputs,
    )


def input_of(path: pathlib.Path, kind: Literal["run", "reference", "confirmation", "ledger", "explanation"]) -> Input:
    """A file as a verdict names it. Raises UserError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while chunk := file.read(1 << 20):
                digest.update(chunk)
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a file you may read") from None
    return Input(name=path.name, kind=kind, sha256=digest.hexdigest())


def verify(path: pathlib.Path, folders: Sequence[pathlib.Path] = ()) -> Verdict:
    """The verdict in a file, once it has been derived again from its inputs and came out the same.

    Inputs are looked for by name beside the verdict and then in `folders`. Raises UserError that says in one sentence
    which input is not there or was changed, or which figure of the verdict does not follow from them. The version of
    the tool is not compared.
    """
    claimed = verdicts.read(path)
    found = [(one, _find(one, path, [path.parent, *folders])) for one in claimed.inputs]
    runs = [place for one, place in found if one.kind == "run"]
    norms = [place for one, place in found if one.kind == "reference"]
    accepted = [place for one, place in found if one.kind == "ledger"]
    told = [place for one, place in found if one.kind == "explanation"]
    if not runs or max(len(norms), len(accepted), len(told)) > 1:
        raise UserError(f"{path} does not name the files it was derived from; judge the run again with --out")
    derived = judge_files(
        runs,
        policy=claimed.policy,
        reference=norms[0] if norms else None,
        confirmations=[place for one, place in found if one.kind == "confirmation"],
        ledger=accepted[0] if accepted else None,
        explanation=told[0] if told else None,
    )
    for place, ours, theirs in _differences(msgspec.to_builtins(derived), msgspec.to_builtins(claimed), ""):
        hint = f" (it was written by version {claimed.tool_version}, this is {__version__})"
        raise UserError(
            f"{path}: {place} is {_shown(theirs)}, but {_shown(ours)} follows from the inputs"
            f"{hint if claimed.tool_version != __version__ else ''}; do not trust this verdict, judge the run again"
        )
    return claimed


def _find(wanted: Input, verdict: pathlib.Path, folders: Sequence[pathlib.Path]) -> pathlib.Path:
    if wanted.name in ("", ".", "..") or "/" in wanted.name or "\\" in wanted.name or not wanted.name.isprintable():
        raise UserError(f"{verdict} names the input {quoted(wanted.name)}, which is not a file name; do not trust it")
    candidates = [place for folder in folders if (place := folder / wanted.name).is_file()]
    for place in candidates:
        if input_of(place, wanted.kind).sha256 == wanted.sha256:
            return place
    if candidates:
        raise UserError(
            f"{candidates[0]} is not the file that {verdict} was derived from (its SHA-256 differs); "
            "find the original, or judge again"
        )
    raise UserError(f"{wanted.name}, which {verdict} was derived from, is not there; put it beside the verdict")


def _differences(ours: Any, theirs: Any, place: str) -> Iterator[tuple[str, Any, Any]]:
    """Places where two plain structures differ, depth first."""
    if isinstance(ours, dict) and isinstance(theirs, dict):
        for key in [*ours, *(key for key in theirs if key not in ours)]:
            if place or key not in _NOT_COMPARED:
                inner = f"{place}.{key}" if place else str(key)
                yield from _differences(ours.get(key), theirs.get(key), inner)
    elif isinstance(ours, (list, tuple)) and isinstance(theirs, (list, tuple)):
        if len(ours) != len(theirs):
            yield f"the length of {place}", len(ours), len(theirs)
        for number, (mine, other) in enumerate(zip(ours, theirs, strict=False)):
            named = isinstance(mine, dict) and "test" in mine
            yield from _differences(mine, other, f"{place}[{mine['test'] if named else number}]")
    elif not _equal(ours, theirs):
        yield place, ours, theirs


def _equal(ours: Any, theirs: Any) -> bool:
    numeric = (int, float)
    if isinstance(ours, numeric) and isinstance(theirs, numeric) and not isinstance(ours, bool):
        return math.isclose(ours, theirs, rel_tol=_RELATIVE_TOLERANCE, abs_tol=1e-12)
    return bool(ours == theirs)


def _shown(value: Any) -> str:
    return quoted(value)
