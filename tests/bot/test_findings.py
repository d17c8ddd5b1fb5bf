from __future__ import annotations

import msgspec
import pytest

from bot.explanation import Breaks, Instructions, Levels, Tables
from bot.findings import lines
from harness.records import Compilation, GraphBreak
from tests.bot.explanations import operator, step, tables

DRIVER = operator("aten::mm", 2e-3, 4e-3, (10, 20), share=0.97, share_half_width=0.021)
COMPILED = Compilation(graph_breaks=0, recompiles=0, unique_graphs=1, fallbacks_to_eager=0, cold_seconds=12.0)


def said(change: float | None, **figures: object) -> tuple[str, ...]:
    return lines(msgspec.convert(Tables(**figures), Tables), change, {})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("change", "figures", "expected"),
    [
        (
            0.2,
            {"step": step(20e-3, 24e-3), "operators": (DRIVER,)},
            ["aten::mm +100 % accounts for 97 % of the change (2.00 → 4.00 ms; calls 10 → 20; share ± 2 points)"],
        ),
        (
            -0.1,
            {"step": step(4e-3, 2e-3), "operators": (operator("aten::mm", 4e-3, 2e-3, (2, 1), share=1.0),)},
            ["aten::mm −50 % accounts for 100 % of the change (4.00 → 2.00 ms; calls 2 → 1)"],
        ),
        (
            0.1,
            {"step": step(4e-3, 5e-3), "operators": (operator("aten::sin", 0, 1e-3, (0, 3), share=1.0),)},
            ["aten::sin (new) accounts for 100 % of the change (1.00 ms; calls 0 → 3)"],
        ),
        (
            -0.1,
            {"step": step(5e-3, 4e-3), "operators": (operator("aten::sin", 1e-3, 0, (3, 0), share=1.0),)},
            ["aten::sin (gone) accounts for 100 % of the change (1.00 ms; calls 3 → 0)"],
        ),
        (
            0.1,
            {
                "step": step(5e-3, 6e-3),
                "operators": (
                    operator("aten::relu", 3e-3, 1e-3, share=-2.0),
                    operator("aten::mm", 1e-3, 4e-3, share=3.0),
                ),
            },
            [
                "aten::mm +300 % accounts for 300 % of the change (1.00 → 4.00 ms)",
                "aten::relu −67 % goes against the change (3.00 → 1.00 ms)",
            ],
        ),
        (
            0.1,
            {
                "step": step(5e-3, 5.05e-3, 2e-4),
                "operators": (operator("aten::mm", 1e-3, 1.1e-3, stands_out=False),) * 3,
            },
            [
                "no operator stands out: 3 operators, each within noise or a small part "
                "(5.00 → 5.05 ms of a step under the profiler, 50.0 µs more ± 200 µs)"
            ],
        ),
        (
            0.1,
            {"step": step(5e-3, 5.05e-3, 2e-4), "operators": (operator("aten::mm", 1e-3, 1.1e-3),)},
            [
                "aten::mm +10 % (1.00 → 1.10 ms)",
                "the profiles' sum did not change by more than noise (50.0 µs ± 200 µs of a step under the profiler)",
            ],
        ),
        # Without an operator there are no shares to rely on.
        (
            -0.2,
            {"step": step(20e-3, 24e-3), "operators": (operator("aten::mm", 1e-3, 5e-3, stands_out=False, share=1.0),)},
            [
                "no operator stands out: 1 operator, each within noise or a small part "
                "(20.0 → 24.0 ms of a step under the profiler, 4.00 ms more ± 100 µs)"
            ],
        ),
        (
            -0.2,
            {"step": step(20e-3, 24e-3), "operators": (DRIVER,)},
            [
                "aten::mm +100 % accounts for 97 % of the change (2.00 → 4.00 ms; calls 10 → 20; share ± 2 points)",
                "under the profiler the step went slower, against what was timed: do not rely on the operators' shares",
            ],
        ),
        (
            0.3,
            {"instructions": Instructions(base=(12.1e6, 12.1e6), head=(17.06e6, 17.06e6), kernels="AVX2")},
            [
                "instructions +41.0 %: a step runs more code "
                "(12.10 million → 17.06 million a step, counted with AVX2 kernels)"
            ],
        ),
        (
            -0.3,
            {"instructions": Instructions(base=(2000,), head=(1000,))},
            ["instructions −50.0 %: a step runs less code (2.000 thousand → 1.000 thousand a step)"],
        ),
        (
            0.3,
            {"instructions": Instructions(base=(2000,), head=(1000,))},
            [
                "instructions −50.0 %: a step runs less code (2.000 thousand → 1.000 thousand a step)",
                "instructions and time moved in opposite ways: their number is not what changed the time",
            ],
        ),
        (
            0.3,
            {"instructions": Instructions(base=(1_000_000,), head=(1_000_500,), kernels="AVX2")},
            [
                "instructions unchanged (within 0.50 %, counted with AVX2 kernels): slower for the same instructions "
                "(memory, caches, frequency), or in code that does not run where they are counted"
            ],
        ),
        (None, {"instructions": Instructions(base=(1e6,), head=(1e6,))}, ["instructions unchanged (within 0.50 %)"]),
        # What varies within a build is no difference between builds.
        (
            None,
            {"instructions": Instructions(base=(1.0e6, 1.2e6), head=(1.15e6, 1.15e6))},
            ["instructions unchanged (within 18 %)"],
        ),
        (
            0.1,
            {"faults": Levels(base=(10, 11, 10), head=(300, 310, 290))},
            ["minor page faults × 30 (10 → 300 a step): memory is allocated otherwise"],
        ),
        (
            -0.1,
            {"faults": Levels(base=(300, 310, 290), head=(0, 0, 0))},
            ["minor page faults × 0 (300 → 0 a step): memory is allocated otherwise"],
        ),
        # Launches of both overlap; or there are too few; or it is a handful.
        (0.1, {"faults": Levels(base=(10, 400, 10), head=(300, 310, 290))}, []),
        (0.1, {"faults": Levels(base=(10,), head=(300,))}, []),
        (0.1, {"faults": Levels(base=(1, 1, 1), head=(4, 4, 4))}, []),
        (
            0.1,
            {"memory": Levels(base=(100 * 2**20,) * 3, head=(112 * 2**20,) * 3)},
            ["peak memory +12.0 % (100 MiB → 112 MiB)"],
        ),
        (
            0.1,
            {"memory": Levels(base=(112 * 2**20,) * 3, head=(100 * 2**20,) * 3)},
            ["peak memory −10.7 % (112 MiB → 100 MiB)"],
        ),
        (0.1, {"memory": Levels(base=(2**10,) * 3, head=(2**12,) * 3)}, []),
        (
            0.1,
            {
                "base_compilation": COMPILED,
                "head_compilation": msgspec.structs.replace(COMPILED, graph_breaks=2, unique_graphs=3),
                "breaks": Breaks(new=(GraphBreak(reason="call to print", place="model.py:7", count=2),)),
            },
            ["graph break new: call to print at model.py:7", "compiled otherwise: graph breaks 0 → 2, graphs 1 → 3"],
        ),
        (
            0.1,
            {"base_compilation": COMPILED, "head_compilation": COMPILED, "breaks": Breaks()},
            ["no new graph breaks or recompilations"],
        ),
        (
            -0.1,
            {
                "base_compilation": COMPILED,
                "head_compilation": msgspec.structs.replace(COMPILED, cold_seconds=20.0),
                "breaks": Breaks(gone=(GraphBreak(reason="call to print"),)),
            },
            ["graph break gone: call to print", "compile time 12.0 → 20.0 s, compiled cold once in each build"],
        ),
        (
            0.1,
            {
                "step": step(1e-3, 2e-3, on_device=True, base_kernels=120, head_kernels=180),
                "operators": (operator("aten::mm", 1e-3, 2e-3, share=1.0),),
            },
            [
                "aten::mm +100 % accounts for 100 % of the change (1.00 → 2.00 ms)",
                "kernels launched in a step: 120 → 180",
            ],
        ),
    ],
)
def test_figures_in_words(change: float | None, figures: dict[str, object], expected: list[str]) -> None:
    assert list(said(change, **figures)) == expected


def test_five_lines_the_most_telling_first() -> None:
    rows = tuple(operator(f"aten::op{number}", 1e-3, 2e-3, share=0.1) for number in range(9))
    told = said(
        0.1,
        step=step(9e-3, 18e-3),
        operators=rows,
        instructions=Instructions(base=(1e6,), head=(2e6,)),
        faults=Levels(base=(10, 10, 10), head=(300, 300, 300)),
        memory=Levels(base=(2e8,) * 3, head=(3e8,) * 3),
    )
    assert [line.split()[0] for line in told] == ["aten::op0", "aten::op1", "aten::op2", "instructions", "minor"]


def test_nothing_to_go_by_is_said_with_its_reason() -> None:
    assert lines(Tables(), 0.1, {"operator profile": "the worker died"}) == (
        "nothing could be found out: operator profile: the worker died",
    )


def test_names_of_the_measured_code_are_cleaned() -> None:
    evil = "aten::\x1b[31mmm\u202e" + "x" * 5000
    told = lines(tables(operators=(operator(evil, 1e-3, 2e-3, share=1.0),)), 0.1, {})
    assert all(line.isprintable() and len(line) < 1000 for line in told)
