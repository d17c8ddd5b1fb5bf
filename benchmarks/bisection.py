"""Bisection over synthetic repositories of 64 commits with real builds: how often is the culprit found, at what cost?

Each repository holds a small package whose step really becomes slower or faster at commits that are drawn, and 10 % of
its commits cannot be built (tests/rows.py). A third of the searches have one culprit of 5 %, a third an 8 % regression
and a 4 % improvement in two tests, a third both in one test. A search is right when every step is blamed on its commit,
or on the range of it and the neighbours that cannot be built, and on nothing else; every fourth one is killed halfway
and goes on. The acceptance is 19 of 20 right, with fewer than 15 distinct builds (2.5 x log2(64)) in the median, the
ends and those that failed included.

    taskset -c 0 python benchmarks/bisection.py --seeds 1-20 --out out/bisection --cpus 0
    python benchmarks/bisection.py --simulated --seeds 1-200

A seed that is in the folder already is not searched again; one that was stopped goes on. With --simulated nothing is
built: readings are drawn with an error of half a percent around the truth, in the same repositories. Other options go
to `torchwarden bisect`.
"""

from __future__ import annotations

import argparse
import os
import pathlib
import random
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from bot import bisect  # noqa: E402
from bot.bisect import Search  # noqa: E402
from tests import rows  # noqa: E402
from tests.searches import Steps, World, broken  # noqa: E402

REGRESSION, LARGE, IMPROVEMENT = 0.05, 0.08, -0.04
KILLED = 4
"""Every so many searches one is killed."""


def drawn(seed: int, commits: int, scale: float) -> Steps:
    """The steps of a repository, by test; `scale` multiplies their sizes."""
    draw = random.Random(f"bisection/{seed}")
    one, two = sorted(draw.sample(range(1, commits + 1), 2))
    large, small = (LARGE * scale, IMPROVEMENT * min(scale, 10))
    scenarios: list[Steps] = [
        {"first": [(one, REGRESSION * scale)]},
        {"first": [(two, large)], "second": [(one, small)]},
        {"first": [(one, large), (two, small)]},
    ]
    return scenarios[seed % len(scenarios)]


def world(seed: int, commits: int, scale: float) -> World:
    """The repository as a world of known truth, under the names that its tests will have."""
    steps = drawn(seed, commits, scale)
    named = {f"test_eval[{name}-cpu-eager]": changes for name, changes in steps.items()}
    return World(named, last=commits, seed=seed, broken=broken(seed, commits))


def command(seed: int, commits: int, options: list[str]) -> list[str]:
    """The search in the repository of a seed."""
    ends = ("--good", f"HEAD~{commits}", "--bad", "HEAD")
    kept = ("--state", f"../{seed}.json", "--resume", "--json", f"../{seed}-result.json")
    return [sys.executable, "-m", "bot.cli", "bisect", *ends, *rows.OPTIONS, *kept, *options]


def searched(folder: pathlib.Path, seed: int, commits: int, scale: float, options: list[str]) -> Search:
    """Search the repository of a seed with real builds, from where an earlier call left it."""
    place = folder / f"repository-{seed}"
    steps: Mapping[str, Mapping[int, float]] = {name: dict(on) for name, on in drawn(seed, commits, scale).items()}
    if not place.exists():
        rows.repository(place, commits, steps, broken(seed, commits), seed)
    state, result = folder / f"{seed}.json", folder / f"{seed}-result.json"
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        # A build of another run of this script may be found, but not one of the user's.
        "XDG_CACHE_HOME": str((folder / "cache").resolve()),
    }
    words = command(seed, commits, options)
    with (folder / f"{seed}.log").open("a") as log:
        if seed % KILLED == 0 and not state.exists():
            process = subprocess.Popen(words, cwd=place, env=environment, stdout=log, stderr=log)
            while process.poll() is None and not (state.exists() and len(bisect.read(state).probes) >= 4):
                time.sleep(0.2)
            process.send_signal(signal.SIGKILL)
            process.wait()
        if not result.exists():
            subprocess.run(words, cwd=place, env=environment, stdout=log, stderr=log, check=False)
    return bisect.read(state)


def described(seed: int, one: World, known: Search) -> str:
    """One line on a search: whether it is right, the truth, what was found, and the cost."""
    truth = " ".join(f"{size:+.0%}@{place}" for changes in one.steps.values() for place, size in changes)
    found = " ".join(
        f"{culprit.change:+.1%}@{culprit.first}" + (f"-{culprit.last}" if culprit.last > culprit.first else "")
        for standing in bisect.standings(known)
        for culprit in standing.culprits
    )
    states = ",".join(standing.state for standing in bisect.standings(known))
    word = "right" if one.is_right(known) else "WRONG"
    cost = f"{builds(known)} builds ({len(known.unmade)} failed), {len(known.probes)} probes"
    outcome = bisect.outcome(known) if known.trials else "not tried"
    minutes = f"{known.elapsed_seconds / 60:.1f} min"
    return f"{seed:4} {word} truth {truth} found {found or '-'} ({states}; {outcome}): {cost}, {minutes}"


def builds(known: Search) -> int:
    """Distinct builds of the search, the ends and those that failed included."""
    return len({0, known.last} | {one.position for one in known.makings})


def main() -> None:
    """Search what is not searched yet, a line each, and print how many were right and what they cost."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-20", help="first and last seed")
    parser.add_argument("--commits", type=int, default=64)
    parser.add_argument("--scale", type=float, default=1.0, help="multiplies all changes, for a machine that is noisy")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/bisection"))
    parser.add_argument("--simulated", action="store_true")
    arguments, options = parser.parse_known_args()
    first, _, last = arguments.seeds.partition("-")
    seeds = range(int(first), int(last or first) + 1)
    arguments.out.mkdir(parents=True, exist_ok=True)
    right, cost, minutes = 0, [], []
    for seed in seeds:
        one = world(seed, arguments.commits, arguments.scale)
        if arguments.simulated:
            known = one.searched()
        else:
            known = searched(arguments.out, seed, arguments.commits, arguments.scale, options)
        right += one.is_right(known)
        cost.append(builds(known))
        minutes.append(known.elapsed_seconds / 60)
        if not arguments.simulated or not one.is_right(known):
            print(described(seed, one, known), flush=True)
    print(
        f"right: {right} of {len(seeds)}; distinct builds: median {statistics.median(cost):g}, most {max(cost)}; "
        f"minutes: median {statistics.median(minutes):.1f}, all {sum(minutes):.0f}"
    )


if __name__ == "__main__":
    main()
