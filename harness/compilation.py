"""What torch.compile counts while it compiles: graphs, breaks and their reasons, recompilations.

Runs inside foreign builds of any supported torch: what a version does not count is None. Standard library and torch
only; reads what is there and compiles nothing.
"""

from __future__ import annotations

import collections
import sys
from typing import Any

MOST_BREAKS = 20
"""Reasons that are kept: they repeat, and a packet holds no more."""
LONGEST_REASON = 400


def counts() -> dict[str, Any] | None:
    """The counts since the process began, by the names of `harness.records.Compilation`; None without Dynamo."""
    utils = sys.modules.get("torch._dynamo.utils")
    if utils is None:
        return None
    counters = utils.counters
    breaks = counters["graph_break"]
    frames = counters["frames"]
    reasons = _reasons(getattr(utils, "graph_break_reasons", []), breaks)
    return {
        "unique_graphs": int(counters["stats"]["unique_graphs"]),
        "calls_captured": int(counters["stats"]["calls_captured"]),
        "graph_breaks": int(sum(breaks.values())),
        "unique_graph_breaks": len(breaks),
        "recompiles": _recompiles(utils),
        # Frames that Dynamo looked at and then left to the interpreter.
        "fallbacks_to_eager": int(frames["total"] - frames["ok"]),
        "autograd_captures": int(counters["compiled_autograd"]["captures"]),
        "autograd_compiles": int(counters["compiled_autograd"]["compiles"]),
        "cudagraph_skips": int(counters["inductor"]["cudagraph_skips"]),
        "breaks": [
            {"reason": reason, "place": place, "count": count}
            for (reason, place), count in reasons.most_common(MOST_BREAKS)
        ],
    }


def _reasons(found: Any, breaks: Any) -> collections.Counter[tuple[str, str]]:
    reasons: collections.Counter[tuple[str, str]] = collections.Counter()
    for one in found:
        if getattr(one, "graph_break", True):
            stack = list(getattr(one, "user_stack", ()) or ())
            place = f"{stack[-1].filename}:{stack[-1].lineno}" if stack else ""
            reasons[_first_line(one.reason), place] += 1
    if not reasons:
        for message, count in breaks.items():
            reasons[_first_line(message), ""] += int(count)
    return reasons


def _first_line(message: Any) -> str:
    return (str(message).strip().partition("\n")[0] or "unknown")[:LONGEST_REASON]


def _recompiles(utils: Any) -> int | None:
    metrics = getattr(utils, "get_compilation_metrics", None)
    if metrics is None:
        return None
    return sum(1 for one in metrics() if getattr(one, "recompile_reason", None))
