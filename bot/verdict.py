"""The verdict: all that a report needs, and enough to derive it again.

A verdict is written by `judge` and read by every report. It is decoded strictly; seconds and fractions throughout
(`change` 0.08 is 8 % slower). Absent figures are null, never a made-up number.
"""

from __future__ import annotations

import pathlib
from typing import Any, Literal

import msgspec

from bot.explanation import OperatorChange
from harness.errors import UserError
from harness.records import Build, Health, Machine, Plan

SCHEMA_VERSION = 1

Outcome = Literal["regressed", "improved", "unchanged", "inconclusive", "accepted", "new", "missing", "failed"]
OUTCOMES: tuple[Outcome, ...] = (
    *("regressed", "improved", "unchanged", "inconclusive"),
    "accepted",
    *("new", "missing", "failed"),
)

SIGNALS: frozenset[Outcome] = frozenset({"regressed", "improved"})
"""Outcomes of a test that crosses its threshold with evidence."""

EXIT_CODES: dict[Outcome, int] = {"unchanged": 0, "improved": 0, "accepted": 0, "regressed": 1, "inconclusive": 3}
"""Exit code of `judge` and `bench` for the outcome of a whole verdict."""


class Part(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of all parts of a verdict: immutable and strict."""


class Policy(Part, frozen=True, kw_only=True):
    """How figures become outcomes. `name` is "torchwarden" or "v1".

    `tests` are thresholds of certain tests by pattern (`bot.owners`); of several that match, the last counts.
    """

    name: str = "torchwarden"
    threshold: float = 0.07
    tests: dict[str, float] = msgspec.field(default_factory=dict)
    score_threshold: float = 0.01
    confidence: float = 0.95
    false_discovery_rate: float = 0.05


class Input(Part, frozen=True, kw_only=True):
    """A file the verdict was derived from: its base name, what it is, and the SHA-256 of its bytes."""

    name: str
    kind: Literal["run", "reference", "confirmation", "ledger", "explanation"]
    sha256: str


class LaunchSummary(Part, frozen=True, kw_only=True):
    """One launch of a comparison: the medians of both lanes in seconds and the launch's effect as a relative change."""

    pair: int
    base_seconds: float | None
    head_seconds: float
    change: float


class LaneSamples(Part, frozen=True, kw_only=True):
    """Raw samples of one lane, by launch, in seconds; kept for tests that are signals, so that a page can draw them."""

    lane: str
    launches: tuple[tuple[float, ...], ...]


class Confirmation(Part, frozen=True, kw_only=True):
    """What a second run, with fresh launches, said of a test that had a signal or might have had one.

    `change` with its interval and `launches` are the second run's alone, `first_change` with its interval the first
    run's; the entry's own figures are those that stand after both.
    """

    outcome: Literal["confirmed", "unconfirmed", "failed"]
    change: float | None
    low: float | None
    high: float | None
    launches: int
    first_change: float | None
    first_low: float | None
    first_high: float | None


class SecondRun(Part, frozen=True, kw_only=True):
    """The run that confirmed a verdict or did not: what it measured again, and how many signals it bore out.

    `chance` is the probability at most with which an unchanged test passes both runs.
    """

    run: str
    machine: Machine
    elapsed_seconds: float
    tests: int
    confirmed: int
    unconfirmed: int
    """Signals of the first run that were not borne out."""
    chance: float


class TestVerdict(Part, frozen=True, kw_only=True):
    """What was concluded for one test. `low` and `high` are the 95 % interval of `change`."""

    test: str
    lane: str
    outcome: Outcome
    against: str = ""
    """What the lane was compared with: another lane, or "reference"."""
    reason: str = ""
    change: float | None = None
    low: float | None = None
    high: float | None = None
    threshold: float = 0.07
    base_seconds: float | None = None
    head_seconds: float | None = None
    p_value: float | None = None
    q_value: float | None = None
    detectable: float | None = None
    launches: tuple[LaunchSummary, ...] = ()
    samples: tuple[LaneSamples, ...] = ()
    phases: dict[str, float] = msgspec.field(default_factory=dict)
    """Relative change by phase (forward, backward, update), where the step has phases."""
    base_figures: dict[str, float] = msgspec.field(default_factory=dict)
    head_figures: dict[str, float] = msgspec.field(default_factory=dict)
    """Other figures of the lane: peak_memory_bytes, minor_faults, compile_seconds, throughput (items per second)."""
    stopped: str = ""
    elapsed_seconds: float = 0.0
    health: Health | None = None
    confirmation: Confirmation | None = None
    stderr: str = ""
    warnings: tuple[str, ...] = ()
    explanation: tuple[str, ...] = ()
    """Why it changed, in plain words, the most telling first (`bot.explanation`)."""
    operators: tuple[OperatorChange, ...] = ()
    """The operators behind the explanation, by the size of their change."""

    @property
    def signal(self) -> bool:
        """Whether this entry crosses its threshold with evidence, in either direction."""
        return self.outcome in SIGNALS


class Mover(Part, frozen=True, kw_only=True):
    """A test that moved the score: its weight in the score and its effect in points."""

    test: str
    weight: float
    points: float


class ScoreVerdict(Part, frozen=True, kw_only=True):
    """The V1 score of the head, 1000 being the reference. `coverage` is the share of the weight that was measured."""

    value: float
    low: float | None
    high: float | None
    coverage: float
    outcome: Outcome
    threshold: float
    subscores: dict[str, float | None] = msgspec.field(default_factory=dict)
    movers: tuple[Mover, ...] = ()
    against: str = ""
    warnings: tuple[str, ...] = ()


class Speedup(Part, frozen=True, kw_only=True):
    """One mode against eager in the same build: `ratio` is eager seconds over the mode's seconds (above 1 is
    faster).
    """

    test: str
    lane: str
    against: str
    ratio: float
    low: float | None
    high: float | None
    against_seconds: float
    seconds: float


class Verdict(Part, frozen=True, kw_only=True):
    """The judge's word on a run. Everything that is shown comes from here."""

    schema_version: int = SCHEMA_VERSION
    tool_version: str
    run: str
    started: str
    elapsed_seconds: float
    policy: Policy
    inputs: tuple[Input, ...]
    outcome: Outcome
    tests: tuple[TestVerdict, ...]
    score: ScoreVerdict | None = None
    speedups: tuple[Speedup, ...] = ()
    controls: tuple[TestVerdict, ...] = ()
    """Control lanes, which use no torch: what they did tells of machine and environment, and they cannot regress."""
    second_run: SecondRun | None = None
    detectable: float | None = None
    """Minimum detectable change of the median test; `detectable_worst` that of the noisiest."""
    detectable_worst: float | None = None
    machine: Machine
    builds: tuple[Build, ...]
    plan: Plan
    reproduce: str = ""
    """The command that measures the same again, without machine paths."""
    warnings: tuple[str, ...] = ()

    def of(self, *outcomes: Outcome) -> tuple[TestVerdict, ...]:
        """The entries with one of these outcomes, in order."""
        return tuple(entry for entry in self.tests if entry.outcome in outcomes)


_decoder = msgspec.json.Decoder(Verdict)


def encode(verdict: Verdict) -> bytes:
    """The verdict as it stands in a file: indented JSON."""
    return msgspec.json.format(msgspec.json.encode(verdict), indent=1) + b"\n"


def read(path: pathlib.Path) -> Verdict:
    """Read a verdict. Raises UserError naming file and field for anything else."""
    try:
        return _decoder.decode(path.read_bytes())
    except OSError as error:
        raise UserError(f"{path} cannot be read ({error.strerror}); name a verdict file") from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"{path}: {error}; this is not a verdict, write one with `torchwarden judge`") from None


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a verdict file."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **msgspec.json.schema(Verdict)}
