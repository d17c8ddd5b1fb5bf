"""An errand: one worker that is sent for something else than time, and comes back with it.

Serves `torchwarden profile` and `torchwarden validate`: a lane's step is built in a worker of its build, as for timing,
does one of `harness.worker.TASKS`, and leaves what is larger than a packet in a file whose path the coordinator chose.
Imports no torch.
"""

from __future__ import annotations

import pathlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from harness import interleave, records
from harness.lanes import Lane, mode_of
from harness.plan import Group
from harness.pool import Pool


@dataclass(frozen=True)
class Errand:
    """What one worker is sent for: a task of `harness.worker.TASKS` on a group's step in a mode.

    `more` goes into the worker's order. `result` is the name of a file, which must not hold a path. `build` is the
    plan's head unless it is named; `nursery` is which of its nurseries the worker is born in.
    """

    group: Group
    mode: str
    task: str
    result: str
    more: Mapping[str, Any]
    build: str | None = None
    nursery: int = 0


def run(errand: Errand, pool: Pool, plan: records.Plan) -> tuple[dict[str, Any], pathlib.Path]:
    """Send a worker; what it told of the task, and the file that it wrote, which is gone with the pool.

    Raises `harness.pool.WorkerError` for whatever the worker did instead.
    """
    lane = Lane(errand.mode, errand.build or plan.head)
    path = pool.folder / errand.result
    order = interleave.order(errand.group, lane, pool, plan) | {
        "task": errand.task,
        "result": str(path),
        # What is compiled for an errand may be compiled otherwise than for timing.
        "cache": pool.cache(errand.group.name, f"{lane} {errand.task}"),
        **errand.more,
    }
    nursery = pool.nursery(lane.build, mode_of(lane.mode).environment, errand.nursery)
    with nursery.launch(order, plan.launch_timeout_seconds) as worker:
        return worker.birth[errand.task], path
