"""Made-up tables and explanations, in a few words."""

from __future__ import annotations

from typing import Any

from bot.explanation import Explanation, Explanations, OperatorChange, StepChange, Tables


def operator(
    name: str, before: float, after: float, calls: tuple[float, float] = (1, 1), **more: Any
) -> OperatorChange:
    """An operator that takes `before` and `after` seconds, and stands out."""
    fields = {"half_width": 1e-5, "stands_out": True, "base_calls": calls[0], "head_calls": calls[1], **more}
    return OperatorChange(name=name, base_seconds=before, head_seconds=after, **fields)


def step(before: float, after: float, half_width: float = 1e-4, **more: Any) -> StepChange:
    """A step under the profiler, in eight pairs."""
    return StepChange(base_seconds=before, head_seconds=after, half_width=half_width, pairs=8, **more)


def tables(**more: Any) -> Tables:
    """A convolution that became slower, which is nine tenths of the change."""
    row = operator("aten::convolution", 12e-3, 15.72e-3, (20, 21), share=0.92, share_half_width=0.03)
    return Tables(**{"step": step(20e-3, 24e-3), "operators": (row,), **more})


def explained(test: str, run: str, *lines: str, **more: Any) -> Explanations:
    """A file's worth: one test with these lines."""
    one = Explanation(**{"test": test, "change": 0.2, "lines": lines, "tables": tables(), **more})
    return Explanations(run=run, tool_version="0", tests=(one,))
