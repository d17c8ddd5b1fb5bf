"""Ocean physics: two array programs of an ocean model, in float64, without parameters and without a train step.

`grid` is the number of cells in longitude, latitude and depth; an item is a cell. V1's grid is what pyhpc-benchmarks
makes of 2^22 cells, today's what it makes of 2^20.
"""

from __future__ import annotations

from harness.benchmark import Request, Workload, benchmark

V1_GRID = (323, 323, 41)
CURRENT_GRID = (204, 204, 26)


@benchmark(
    "pyhpc_equation_of_state",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={"small": {"grid": (40, 40, 16)}, "v1": {"grid": V1_GRID}, "current": {"grid": CURRENT_GRID}},
    types=("eval",),
    unsupported={"train": "it has no parameters to train"},
    parameters=0,
)
def equation_of_state(request: Request) -> Workload:
    """Temperature derivative of the enthalpy of seawater, TEOS-10 in 48 terms: long elementwise arithmetic."""
    from harness.suites.torchbench.networks import seawater

    return seawater.equation_of_state(request)


@benchmark(
    "pyhpc_isoneutral_mixing",
    category="OTHER",
    domain="OTHER_TASKS",
    sizes={"small": {"grid": (72, 72, 16)}, "v1": {"grid": V1_GRID}, "current": {"grid": CURRENT_GRID}},
    types=("eval",),
    unsupported={"train": "it has no parameters to train"},
    parameters=0,
)
def isoneutral_mixing(request: Request) -> Workload:
    """Diffusion along surfaces of neutral density: slopes and mixing tensor by a stencil over triads of cells."""
    from harness.suites.torchbench.networks import isoneutral

    return isoneutral.isoneutral_mixing(request)
