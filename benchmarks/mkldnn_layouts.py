"""What mkldnn layout and reordered weights bring today: the headline of the convnet benchmark, measured again.

resnext101_32x8d on one image of 224 pixels, in the lanes `eager`, `mkldnn` and `mkldnn_cached`, interleaved. Printed
are times relative to eager with their intervals, beside what that benchmark showed with torch 1.2 on a Xeon 8180.

    python benchmarks/mkldnn_layouts.py --budget 120s --cpu-preset physical-cores
"""

from __future__ import annotations

import argparse
import pathlib

from entries import judged, measure

SEED = {"eager": 92.52, "mkldnn": 43.27, "mkldnn_cached": 32.35}
"""Milliseconds of the benchmark's own log."""
TEST = "resnext101_32x8d"


def main() -> None:
    """Measure the three lanes and print the ratios; options that are not known here go to `torchwarden run`."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", default="single")
    parser.add_argument("--budget", default="120s")
    parser.add_argument("--out", type=pathlib.Path, default=pathlib.Path("out/mkldnn-layouts.jsonl"))
    arguments, options = parser.parse_known_args()
    fixed = ["--suite", "convnet", "--only", f"{TEST}-", "--type", "eval", "--modes", ",".join(SEED)]
    path = measure(arguments.out, *fixed, "--size", arguments.size, "--budget", arguments.budget, *options)
    verdict = judged(path)
    print(f"{TEST}, size {arguments.size}, {verdict.plan.threads} threads; time relative to eager")
    print(f"{'mode':16} {'ms':>10} {'here':>8} {'interval':>18} {'then':>6}")
    found = {entry.lane.partition("@")[0]: entry for entry in verdict.speedups}
    if not found:
        print("no lane could be compared with eager; see the run with `torchwarden judge`")
        return
    print(f"{'eager':16} {next(iter(found.values())).against_seconds * 1e3:10.2f} {1:8.3f} {'':18} {1:6.2f}")
    for mode, entry in found.items():
        # A speedup is eager's time over the mode's; upside down, its ends change places.
        ends = [f"{1 / end:.3f}" if end else "?" for end in (entry.high, entry.low)]
        interval = f"[{ends[0]}, {ends[1]}]"
        then = SEED[mode] / SEED["eager"]
        print(f"{mode:16} {entry.seconds * 1e3:10.2f} {1 / entry.ratio:8.3f} {interval:>18} {then:6.2f}")


if __name__ == "__main__":
    main()
