"""Records real noise for benchmarks/changepoints.py: the same steps, again and again, each time in a fresh process.

Nothing changes between two processes but the moment, the address-space layout and what the neighbours do. Each process
times every step as two lanes A and B that are the same code, in random order round by round; kept are the median of
lane A (a plain value) and the median over rounds of ln(B / A) (a paired effect, whose true value is zero).

    taskset -c 0 python benchmarks/record_noise.py --minutes 9 --out benchmarks/data/noise-processes.jsonl
"""

from __future__ import annotations

import argparse
import pathlib
import subprocess
import sys
import time

WORKER = """
import json, random, sys, time
import numpy as np

def matmul(a=np.random.rand(160, 160)):
    return a @ a
def copy(a=np.random.rand(1 << 19)):
    return a.copy()
def sort(a=np.random.rand(20000)):
    return np.sort(a)
def gather(a=np.random.rand(1 << 20), i=np.random.randint(0, 1 << 20, 60000)):
    return a[i].sum()
def interpreter():
    return sum(k * k for k in range(9000))
def dictionary():
    return {str(k): k for k in range(4000)}
def transform(a=np.random.rand(1 << 15)):
    return np.fft.rfft(a)
def faults():
    return np.ones(1 << 19)
def exponential(a=np.random.rand(1 << 16)):
    return np.exp(a)
def text():
    return json.loads(json.dumps(list(range(5000))))
clock = time.perf_counter
found = {}
for step in (matmul, copy, sort, gather, interpreter, dictionary, transform, faults, exponential, text):
    step(); step()
    rounds = []
    for _ in range(9):
        pair = [0.0, 0.0]
        for lane in random.sample((0, 1), 2):
            begun = clock(); step(); pair[lane] = clock() - begun
        rounds.append(pair)
    times = np.array(rounds)
    found[step.__name__] = (float(np.median(times[:, 0])), float(np.median(np.log(times[:, 1] / times[:, 0]))))
print(json.dumps(found))
"""


def main() -> None:
    """Run worker after worker until the time is up; a line per process."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=9.0)
    parser.add_argument("--out", type=pathlib.Path, required=True)
    arguments = parser.parse_args()
    end = time.monotonic() + 60 * arguments.minutes
    with arguments.out.open("w") as file:
        while time.monotonic() < end:
            done = subprocess.run([sys.executable, "-c", WORKER], capture_output=True, text=True, check=True)
            file.write(done.stdout)
            file.flush()


if __name__ == "__main__":
    main()
