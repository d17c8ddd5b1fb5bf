"""The suite `control`: steps that use no torch, measured beside the others to tell code from its surroundings.

Two builds differ in more than torch: the interpreter, the C library's allocator, environment variables. A step of plain
Python and one that copies memory are moved by these and by nothing that torch does. So a control lane that moves says
"environment", and one that stays while everything else moves says that the cause is in what the models share. They are
no models: nothing is scored by them, and they cannot regress.
"""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark

_NOTHING_TO_TRAIN = {"train": "it holds no weights"}


def _workload(work: object) -> Workload:
    import torch

    return Workload(model=torch.nn.Identity(), inputs=(), items=1, step=lambda workload, clock: work())  # type: ignore[operator]


@benchmark(
    "control_interpreter",
    category="CONTROL",
    domain="INTERPRETER",
    sizes={"small": {"batch": 1, "turns": 20_000}},
    types=("eval",),
    unsupported=_NOTHING_TO_TRAIN,
)
def interpreter(request: Request) -> Workload:
    """A loop of plain Python: calls, a dictionary, small integers."""
    turns = request.size["turns"]

    def work() -> int:
        counts: dict[int, int] = {}
        for turn in range(turns):
            key = hash((turn, "x")) % 64
            counts[key] = counts.get(key, 0) + 1
        return len(counts)

    return _workload(work)


@benchmark(
    "control_memory",
    category="CONTROL",
    domain="MEMORY",
    sizes={"small": {"batch": 1, "bytes": 4 * 2**20, "copies": 8}},
    types=("eval",),
    unsupported=_NOTHING_TO_TRAIN,
)
def memory(request: Request) -> Workload:
    """Copies of a block of memory into fresh blocks, through the C library's allocator."""
    block, copies = bytes(request.size["bytes"]), request.size["copies"]

    def work() -> int:
        return sum(len(bytearray(block)) for _ in range(copies))

    return _workload(work)
