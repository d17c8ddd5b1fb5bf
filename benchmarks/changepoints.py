"""Steps in series: what is found, how soon, and at how many false alarms, beside the rules of other tools.

    python benchmarks/changepoints.py                 # the unseen part; constants were chosen on --part training
    python benchmarks/changepoints.py --peer-series 0 --years 50    # quick: ours alone

Prints the tables of docs/changepoints.md: tonight and looking back by method; by kind of series; a year of recorded
noise; and the same nights read as plain values and as paired figures. Peers (`pip install torchwarden[peers]`) that are
not installed are left out.
"""

from __future__ import annotations

import argparse
import importlib.util
import time
from collections.abc import Callable

import changepoint_scoring as scoring
import changepoint_series
import numpy as np
from changepoint_series import Planted
from peers import otava, pelt, perfherder, windows

from bot import changepoints

Rule = Callable[[list[float]], list[int]]
PEERS: dict[str, tuple[str, Rule]] = {
    "Otava": ("otava", otava.steps),
    "Otava, 5 % floor": ("otava", lambda values: otava.steps(values, 0.05)),
    "PELT rbf": ("ruptures", pelt.steps),
    "Perfherder": ("math", perfherder.steps),
    "7 % against the median of ten": ("math", windows.median_of_ten),
    "7 % against last night": ("math", windows.last_night),
    "rolling t-test": ("math", windows.rolling_t),
}


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--part", choices=changepoint_series.PARTS, default="unseen")
    parser.add_argument("--series", type=int, default=150)
    parser.add_argument("--peer-series", type=int, default=50, help="series on which peers are run again every night")
    parser.add_argument("--years", type=int, default=200, help="clean and stepped series-years of each kind of noise")
    parser.add_argument("--clean-years", type=int, default=1000, help="clean series-years of paired figures")
    parser.add_argument("--seed", type=int, default=1337, help="another draw of the same part")
    arguments = parser.parse_args()
    series = changepoint_series.build(arguments.part, arguments.series, arguments.seed)
    print(f"part {arguments.part}, {len(series)} series, {sum(len(one.starts) for one in series)} steps of 7 to 30 %")
    by_method(series, arguments.peer_series)
    by_kind(series)
    if arguments.years:
        paired(arguments.part, arguments.years)
        year(arguments.part, arguments.years, arguments.clean_years)


def by_method(series: list[Planted], peer_series: int) -> None:
    """One table: tonight and looking back, every method on the same series."""
    print(
        "| method | series | found with 3 | with 5 | with 10 | false per 1,000 nights "
        "| precision back | recall back | F1 |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    said = scoring.ours_tonight(series)
    places = [scoring.ours_back(one) for one in series]
    row("ours", series, said, places)
    # Spread over all kinds: the recorded ones alternate with a period of four, the constructed with one of seven.
    few = series[:: max(1, len(series) // max(1, peer_series))]
    if not peer_series:
        return
    numbers = range(0, len(series), max(1, len(series) // peer_series))
    row("ours, on the peers' series", few, [said[n] for n in numbers], [places[n] for n in numbers])
    for name, (module, steps) in PEERS.items():
        if importlib.util.find_spec(module) is None:
            print(f"| {name} | not installed |")
            continue
        alarms = [scoring.replayed(one, steps) for one in few]
        found = [[int(place) for place in steps(np.exp(one.values).tolist())] for one in few]
        row(name, few, alarms, found)


def row(name: str, series: list[Planted], said: list[list[scoring.Said]], places: list[list[int]]) -> None:
    tally, back = scoring.tonight(series, said), scoring.back(series, places)
    shares = " | ".join(f"{tally.share(nights):.0%}" for nights in (3, 5, 10))
    print(
        f"| {name} | {len(series)} | {shares} | {tally.per_thousand:.2f} | {back.precision:.1%} | {back.recall:.1%} "
        f"| {back.f1:.3f} |",
        flush=True,
    )


def by_kind(series: list[Planted]) -> None:
    """Ours by kind of series."""
    print("\n| kind | steps | found with 3 | with 5 | false per 1,000 nights | right back | wrong back |")
    print("|---|---|---|---|---|---|---|")
    for kind in dict.fromkeys(one.kind for one in series):
        some = [one for one in series if one.kind == kind]
        tally = scoring.tonight(some, scoring.ours_tonight(some))
        back = scoring.back(some, [scoring.ours_back(one) for one in some])
        print(
            f"| {kind} | {tally.steps} | {tally.share(3):.0%} | {tally.share(5):.0%} | {tally.per_thousand:.2f} "
            f"| {back.right} of {back.steps} | {back.wrong} |"
        )


def paired(part: str, number: int) -> None:
    """The same nights of torch tests, read as plain values and as paired figures."""
    print("\n| reading | step | found with 2 | with 3 | with 5 | with 10 | false per 1,000 nights |")
    print("|---|---|---|---|---|---|---|")
    for size in (0.07, 0.03):
        both = changepoint_series.paired(part, number, steps=size)
        for reading in (0, 1):
            some = [pair[reading] for pair in both]
            tally = scoring.tonight(some, scoring.ours_tonight(some))
            shares = " | ".join(f"{tally.share(nights):.0%}" for nights in (2, 3, 5, 10))
            print(f"| {some[0].kind} | {size:.0%} | {shares} | {tally.per_thousand:.2f} |", flush=True)


def year(part: str, number: int, clean_years: int) -> None:
    """365 nights of recorded noise: steps of 7 % and 3 % found within a night, false steps of clean years."""
    print("\n| reading | method | 7 % found | 3 % found | false steps per 1,000 clean series-years | clean years |")
    print("|---|---|---|---|---|---|")
    rules: dict[str, Callable[[Planted], list[int]]] = {
        "ours": scoring.ours_back,
        "7 % against last night": lambda one: windows.last_night(np.exp(one.values).tolist()),
        "rolling t-test": lambda one: windows.rolling_t(np.exp(one.values).tolist()),
    }
    sets = {size: changepoint_series.paired(part, number, steps=size, nights=365) for size in (0.07, 0.03)}
    clean = changepoint_series.paired(part, max(number, clean_years), steps=0, nights=365)
    for reading, name in ((1, "paired"), (0, "plain")):
        for method, rule in rules.items():
            shares = []
            for both in sets.values():
                some = [pair[reading] for pair in both]
                shares.append(f"{scoring.back(some, [rule(one) for one in some]).recall:.1%}")
            years = [pair[reading] for pair in clean][: clean_years if reading else number]
            wrong = sum(len(rule(one)) for one in years)
            print(
                f"| {name} | {method} | {' | '.join(shares)} | {1000 * wrong / len(years):.1f} | {len(years)} |",
                flush=True,
            )
    both = changepoint_series.paired(part, number, nights=365)
    for repeat in (1, 10):
        begun = time.process_time()
        changepoints.watch([pair[0].values for pair in both] * repeat)
        print(
            f"tonight of {number * repeat} series of 365 nights, from nothing: {time.process_time() - begun:.1f} CPU s"
        )


if __name__ == "__main__":
    main()
