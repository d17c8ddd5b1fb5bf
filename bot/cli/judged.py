"""From the options of a judgement to a verdict: shared by `judge` and `bench`."""

from __future__ import annotations

import pathlib
from collections.abc import Sequence

from bot import ledger as ledgers
from bot import quantities, replay
from bot.cli.options import Judging
from bot.policy import RULES
from bot.verdict import EXIT_CODES, Policy, Verdict
from harness import records
from harness.errors import UserError


def policy_of(judging: Judging, threshold: float) -> Policy:
    """The policy that the options describe, with `threshold` (a fraction) per test. Raises UserError."""
    return Policy(
        name=quantities.known(judging.policy, RULES, "policy"),
        threshold=threshold,
        tests=_thresholds(judging.threshold_of or ()),
        score_threshold=quantities.percentage(judging.score_threshold, "--score-threshold"),
        false_discovery_rate=quantities.percentage(judging.fdr, "--fdr"),
    )


def _thresholds(entries: Sequence[str]) -> dict[str, float]:
    """Thresholds by pattern, from entries such as `test_train[*]=10%`. Raises UserError."""
    found: dict[str, float] = {}
    for entry in entries:
        pattern, equals, limit = entry.rpartition("=")
        if not equals or not pattern:
            raise UserError(f"--threshold-of {entry!r} is not of the form 'PATTERN=10%'; name tests and a percentage")
        # Given again, it counts as the last.
        found.pop(pattern, None)
        found[pattern] = quantities.percentage(limit, "--threshold-of")
    return found


def judge(
    runs: Sequence[pathlib.Path],
    judging: Judging,
    *,
    reference: pathlib.Path | None,
    threshold: str | None,
    confirmations: Sequence[pathlib.Path] = (),
    explanation: pathlib.Path | None = None,
) -> Verdict:
    """The verdict on run files. Without `threshold` the one holds that the run was measured for. Raises UserError.

    The ledger that lies beside the reference counts, where there is one.
    """
    policy_of(judging, Policy().threshold)
    if threshold is not None:
        limit = quantities.percentage(threshold, "--threshold")
    else:
        limit = _header(runs[0]).plan.threshold
    ledger = None if reference is None else ledgers.beside(reference)
    return replay.judge_files(
        runs,
        policy=policy_of(judging, limit),
        reference=reference,
        confirmations=confirmations,
        explanation=explanation,
        ledger=ledger if ledger is not None and ledger.exists() else None,
    )


def _header(path: pathlib.Path) -> records.Header:
    header = next(records.read_lines(path))
    assert isinstance(header, records.Header), "read_lines yields a header first"
    return header


def verified(path: pathlib.Path, inputs: Sequence[pathlib.Path]) -> int:
    """Derive the verdict in `path` again, say that it holds, and return its exit code. Raises UserError."""
    folders = list(dict.fromkeys(one if one.is_dir() else one.parent for one in inputs))
    verdict = replay.verify(path, folders)
    print(f"{path} follows from its inputs; its outcome is {verdict.outcome}")
    return EXIT_CODES[verdict.outcome]
