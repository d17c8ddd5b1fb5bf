"""Verdicts for the tests of the reports: built directly, with plausible figures from a fixed seed."""

from __future__ import annotations

import math
import random

import msgspec

from bot.verdict import (
    Input,
    LaneSamples,
    LaunchSummary,
    Mover,
    Policy,
    ScoreVerdict,
    Speedup,
    TestVerdict,
    Verdict,
)
from harness.records import Build, Health, Machine, Plan

HEAD = Build(
    name="head",
    python="python",
    python_version="3.11.2",
    torch_version="2.14.1",
    torch_git_version="3f2a91c0d2b1e8a94c1f",
    packages={"torchvision": "0.29.1", "timm": "1.0.20"},
    fingerprint="f-head",
    libraries={"oneDNN": "3.12.0", "ACL": "yes", "kernels": "AVX512"},
)
BASE = Build(
    name="base",
    python="python",
    python_version="3.11.2",
    torch_version="2.13.0",
    torch_git_version="81d0c4e77a60b2f31d55",
    packages={"torchvision": "0.28.0", "timm": "1.0.20"},
    fingerprint="f-base",
)
MACHINE = Machine(
    name="bench-1",
    fingerprint="m-1",
    system="Linux 6.1",
    architecture="x86_64",
    cpu_model="AMD EPYC 7B13",
    cores=2,
    memory_bytes=16 * 2**30,
    governor="performance",
    turbo=False,
    virtual=True,
    noise_floor=0.011,
)

ROWS = (
    # test, outcome, change, half-width, base seconds
    ("test_train[BERT_pytorch-cpu-eager]", "regressed", 0.0912, 0.0083, 0.0989),
    ("test_eval[timm_mobilenetv3-cpu-eager]", "regressed", 0.0821, 0.0112, 0.00823),
    ("test_eval[resnet18-cpu-inductor]", "improved", -0.1234, 0.0141, 0.0187),
    ("test_train[squeezenet1_1-cpu-eager]", "inconclusive", 0.061, 0.041, 0.0419),
    ("test_eval[dlrm-cpu-eager]", "inconclusive", -0.021, 0.082, 0.000412),
    ("test_train[dlrm-cpu-eager]", "failed", None, None, None),
    ("test_train[nvidia_deeprecommender-cpu-inductor]", "missing", None, None, None),
    ("test_eval[nvidia_deeprecommender-cpu-eager]", "new", None, None, None),
    ("test_eval[resnet18-cpu-eager]", "unchanged", 0.0012, 0.0061, 0.0245),
    ("test_train[resnet18-cpu-eager]", "unchanged", -0.0031, 0.0074, 0.0712),
    ("test_eval[squeezenet1_1-cpu-eager]", "unchanged", 0.0052, 0.0095, 0.0123),
    ("test_eval[mobilenet_v3_large-cpu-eager]", "unchanged", 0.0008, 0.0088, 0.0109),
    ("test_train[mobilenet_v3_large-cpu-eager]", "unchanged", -0.0102, 0.0123, 0.0398),
    ("test_eval[BERT_pytorch-cpu-eager]", "unchanged", 0.0221, 0.0151, 0.0311),
    ("test_eval[LearningToPaint-cpu-eager]", "unchanged", -0.0005, 0.0049, 0.00622),
    ("test_train[LearningToPaint-cpu-eager]", "unchanged", 0.0063, 0.0101, 0.0186),
)

TRACEBACK = """Traceback (most recent call last):
  File "worker.py", line 212, in step
    loss.backward()
RuntimeError: DefaultCPUAllocator: can't allocate memory: you tried to allocate 2147483648 bytes."""


def entry(test: str, outcome: str = "unchanged", change=0.001, half=0.008, base=0.02, launches=24, seed=1, **more):
    """One entry; a signal or an undecided one has launches and raw samples."""
    if change is None:
        return TestVerdict(test=test, lane=_lane(test, "head"), against=_lane(test, "base"), outcome=outcome, **more)
    noise = random.Random(f"{seed}{test}")
    figures = {
        "change": change,
        "low": None if half is None else change - half,
        "high": None if half is None else change + half,
        "base_seconds": base,
        "head_seconds": base * (1 + change),
        "detectable": None if half is None else 2.1 * half,
        "q_value": 0.00002 if outcome in ("regressed", "improved") else 0.61,
        "stopped": {"inconclusive": "budget", "unchanged": "precise"}.get(outcome, "decided"),
        "elapsed_seconds": 31.4,
        "health": Health(rounds=480, disturbed_rounds=3, steal=0.004, other_load=0.02, throttled=0),
    }
    spread = (half or 0.01) * math.sqrt(launches) / 2
    summaries, samples = [], {"base": [], "head": []}
    for index in range(launches):
        effect = change + noise.gauss(0, spread)
        level = base * (1 + noise.gauss(0, 0.01))
        summaries.append(
            LaunchSummary(pair=index % 6, base_seconds=level, head_seconds=level * (1 + effect), change=effect)
        )
        for name, centre in (("base", level), ("head", level * (1 + effect))):
            samples[name].append(tuple(centre * (1 + abs(noise.gauss(0, 0.015))) for _ in range(20)))
    figures["launches"] = tuple(summaries)
    if outcome in ("regressed", "improved", "inconclusive"):
        figures["samples"] = tuple(
            LaneSamples(lane=_lane(test, name), launches=tuple(found)) for name, found in samples.items()
        )
    return TestVerdict(
        test=test, lane=_lane(test, "head"), against=_lane(test, "base"), outcome=outcome, **{**figures, **more}
    )


def _lane(test: str, build: str) -> str:
    return f"{test.rpartition('-')[2].rstrip(']')}@{build}"


def mixed(**changes) -> Verdict:
    """A pull request's verdict with every outcome in it."""
    more = {
        "test_train[BERT_pytorch-cpu-eager]": {
            "phases": {"forward": 0.031, "backward": 0.124, "update": 0.004},
            "base_figures": {"throughput": 80.9, "peak_memory_bytes": 1.31e9, "minor_faults": 12.0},
            "head_figures": {"throughput": 74.1, "peak_memory_bytes": 1.48e9, "minor_faults": 13.0},
        },
        "test_train[squeezenet1_1-cpu-eager]": {"reason": "the interval +2 % to +10 % reaches over the threshold"},
        "test_eval[dlrm-cpu-eager]": {
            "reason": "the machine was busy: 212 of 480 rounds were disturbed",
            "health": Health(rounds=480, disturbed_rounds=212, steal=0.11, other_load=0.31, throttled=0),
        },
        "test_train[dlrm-cpu-eager]": {"reason": "OOM: killed while it trained, at base too", "stderr": TRACEBACK},
        "test_train[nvidia_deeprecommender-cpu-inductor]": {"reason": "planned, but the run has no line for it"},
        "test_eval[nvidia_deeprecommender-cpu-eager]": {"reason": "not in the base", "head_seconds": 0.0033},
    }
    tests = tuple(
        entry(test, outcome, change, half, base, **more.get(test, {})) for test, outcome, change, half, base in ROWS
    )
    return verdict(
        tests,
        outcome="regressed",
        detectable=0.0193,
        detectable_worst=0.172,
        score=ScoreVerdict(
            value=987.43,
            low=985.51,
            high=989.32,
            coverage=0.94,
            outcome="regressed",
            threshold=0.01,
            subscores={"cpu-train": 981.2, "cpu-eval": 993.4, "cuda-train": None, "cuda-eval": None},
            movers=(
                Mover(test="test_train[BERT_pytorch-cpu-eager]", weight=0.083, points=-7.1),
                Mover(test="test_eval[timm_mobilenetv3-cpu-eager]", weight=0.062, points=-4.9),
                Mover(test="test_eval[resnet18-cpu-inductor]", weight=0.021, points=2.6),
            ),
        ),
        speedups=(
            Speedup(
                test="test_eval[resnet18-cpu-inductor]",
                lane="inductor@head",
                against="eager@head",
                ratio=1.496,
                low=1.47,
                high=1.522,
                against_seconds=0.0245,
                seconds=0.01638,
            ),
        ),
        **changes,
    )


def clean(**changes) -> Verdict:
    """A verdict in which nothing changed."""
    tests = tuple(entry(test, "unchanged", change, half, base) for test, _, change, half, base in ROWS[8:])
    return verdict(tests, **{"outcome": "unchanged", "detectable": 0.016, "detectable_worst": 0.029, **changes})


def same_build(**changes) -> Verdict:
    """`clean`, with the same build as base and head."""
    twin = msgspec.structs.replace(HEAD, name="base")
    return clean(**{"builds": (twin, HEAD), **changes})


def single(**changes) -> Verdict:
    """One build, nothing to compare with but modes."""
    tests = tuple(
        TestVerdict(test=test, lane=_lane(test, "head"), outcome="new", head_seconds=base)
        for test, _, _, _, base in ROWS[8:]
    )
    speedups = tuple(
        Speedup(
            test=f"test_eval[{model}-cpu-inductor]",
            lane="inductor@head",
            against="eager@head",
            ratio=ratio,
            low=ratio - 0.03,
            high=ratio + 0.03,
            against_seconds=0.0245,
            seconds=0.0245 / ratio,
        )
        for model, ratio in (("resnet18", 1.496), ("squeezenet1_1", 1.21), ("dlrm", 0.93))
    )
    plan = Plan(suites=("smoke",), tests=(), types=("eval",), modes=("eager", "inductor"), head="head")
    more = {"outcome": "unchanged", "speedups": speedups, "plan": plan, "builds": (HEAD,), "detectable": None}
    return verdict(tests, **{**more, **changes})


def verdict(tests=(), **changes) -> Verdict:
    """A verdict of these entries; other fields have plausible values."""
    fields = {
        "tool_version": "0.1.0",
        "run": "20260823T101500Z-bench-1-5f2c",
        "started": "2026-08-23T10:15:00Z",
        "elapsed_seconds": 732.0,
        "policy": Policy(),
        "inputs": (Input(name="run.jsonl", kind="run", sha256="9f2c" * 16),),
        "outcome": "unchanged",
        "machine": MACHINE,
        "builds": (BASE, HEAD),
        "plan": Plan(
            suites=("smoke",), tests=(), types=("eval", "train"), modes=("eager", "inductor"), head="head", base="base"
        ),
        "reproduce": "torchwarden run --suite smoke --type eval,train --modes eager,inductor "
        "--base base=PYTHON --head head=PYTHON --threads 1 --seed 1337",
        **changes,
    }
    return Verdict(tests=tuple(tests), **fields)
