"""Nights for the tests of issues: verdicts of one machine whose base stays, and whose head is another every night."""

from __future__ import annotations

import msgspec

from bot.explanation import OperatorChange
from bot.verdict import Confirmation, Verdict
from harness.records import Plan
from tests.bot import verdicts

TEST = "test_eval[resnet18-cpu-eager]"
OTHER = "test_train[BERT_pytorch-cpu-eager]"
THIRD = "test_eval[dlrm-cpu-inductor]"
GOOD = "a" * 40
OPERATOR = OperatorChange(
    name="aten::mkldnn_convolution",
    base_seconds=0.0102,
    head_seconds=0.0131,
    half_width=0.0003,
    stands_out=True,
    share=0.93,
    share_half_width=0.04,
    base_calls=20.0,
    head_calls=20.0,
)


def bad(test=TEST, change=0.12, half=0.01, *, confirmed=True, operator=OPERATOR, **more):
    """A slower test, confirmed by a second run and explained."""
    again = Confirmation(
        outcome="confirmed",
        change=change + 0.002,
        low=change + 0.002 - half,
        high=change + 0.002 + half,
        launches=36,
        first_change=change - 0.002,
        first_low=change - 0.002 - half,
        first_high=change - 0.002 + half,
    )
    told = {"confirmation": again} if confirmed else {}
    if operator is not None:
        told |= {
            "operators": (operator,),
            "explanation": (f"{operator.name} +28 % accounts for 93 % of the change",),
        }
    return verdicts.entry(test, "regressed", change, half, 0.02, **{**told, **more})


def good(test=TEST, **more):
    return verdicts.entry(test, "unchanged", 0.002, **more)


def undecided(test=TEST):
    return verdicts.entry(test, "inconclusive", 0.05, 0.06)


def night(number: int, *tests, outcome="", hour=2, **more) -> Verdict:
    """The verdict of the night of day `number`, at the commit of that night."""
    head = msgspec.structs.replace(verdicts.HEAD, specification=f"git:{number:040x}")
    base = msgspec.structs.replace(verdicts.BASE, specification=f"git:{GOOD}")
    month, day = divmod(number - 1, 28)
    fields = {
        "run": f"run-{number}-{hour}",
        "started": f"2026-{month + 1:02}-{day + 1:02}T{hour:02}:00:00Z",
        "builds": (base, head),
        "plan": Plan(
            suites=("smoke", "control"), tests=(), types=("eval", "train"), modes=("eager",), head="head", base="base"
        ),
        "outcome": outcome or ("regressed" if any(one.outcome == "regressed" for one in tests) else "unchanged"),
        "reproduce": "torchwarden run --suite smoke --only '^test_eval\\[resnet18-cpu-eager\\]$' --out run.jsonl",
        **more,
    }
    return verdicts.verdict(tests, **fields)
