"""The evaluation set of benchmarks/changepoints.py: series with planted steps on recorded and on constructed noise.

Recorded (benchmarks/data/noise.json, how: benchmarks/data/README.md): levels of launches of torch tests in random order
(`torch`), levels of successive processes in the order of recording, neighbours' moods and all (`processes`), medians of
three of them (`medians`). Constructed: normal, heavy tails (Student t with 2.5 degrees), outliers, two levels night by
night (`bimodal`) or for days (`sticky`), slow drift, AR(1). The two parts, "training" and "unseen", share neither a
source of recorded noise nor a seed.
"""

from __future__ import annotations

import json
import math
import pathlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

DATA = pathlib.Path(__file__).parent / "data" / "noise.json"
PARTS = ("training", "unseen")
WARM_UP = 40
"""Nights before the first planted step; alarms are counted from here on for every method."""
APART = 20
"""Fewest nights between two planted steps, and after the last."""

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Planted:
    """A series: logs of nightly values, where each new level begins, and how large it is (log)."""

    kind: str
    values: Array
    starts: tuple[int, ...] = ()
    sizes: tuple[float, ...] = ()
    errors: Array | None = field(default=None, repr=False)


def recorded(part: str) -> dict[str, list[Array]]:
    """Recorded noise of one part by kind: every other source belongs to the unseen part."""
    stored = json.loads(DATA.read_text())
    odd = PARTS.index(part)
    return {
        kind: [np.asarray(values) / 10_000 for values in list(stored[kind].values())[odd::2]]
        for kind in ("levels", "processes", "effects", "process_effects")
    }


def torch_noise(random: np.random.Generator, nights: int, sources: Sequence[Array]) -> Array:
    return random.choice(sources[random.integers(len(sources))], nights)


def process_noise(random: np.random.Generator, nights: int, sources: Sequence[Array], each: int = 1) -> Array:
    """A stretch of a recording, played forwards and backwards where it is too short."""
    source = sources[random.integers(len(sources))]
    if each > 1:
        source = np.median(source[: len(source) // each * each].reshape(-1, each), axis=1)
    folded = np.concatenate([source, source[::-1]])
    begin = random.integers(len(folded))
    return np.take(folded, np.arange(begin, begin + nights), mode="wrap")


def normal(random: np.random.Generator, nights: int) -> Array:
    return random.normal(0, random.uniform(0.005, 0.03), nights)


def heavy(random: np.random.Generator, nights: int) -> Array:
    return random.standard_t(2.5, nights) * random.uniform(0.005, 0.02)


def outliers(random: np.random.Generator, nights: int) -> Array:
    struck = random.random(nights) < random.uniform(0.02, 0.08)
    return normal(random, nights) + struck * random.uniform(0.1, 1.0, nights)


def bimodal(random: np.random.Generator, nights: int) -> Array:
    upper = random.random(nights) < random.uniform(0.15, 0.85)
    return random.normal(0, random.uniform(0.005, 0.015), nights) + upper * random.uniform(0.05, 0.25)


def sticky(random: np.random.Generator, nights: int) -> Array:
    stay = 1 - 1 / random.uniform(3, 12)
    upper, levels = bool(random.random() < 0.5), []
    for change in random.random(nights) > stay:
        upper ^= bool(change)
        levels.append(upper)
    return random.normal(0, random.uniform(0.005, 0.015), nights) + np.array(levels) * random.uniform(0.05, 0.25)


def drift(random: np.random.Generator, nights: int) -> Array:
    phase = np.linspace(0, random.uniform(1, 2 * math.pi), nights) + random.uniform(0, 6)
    return random.normal(0, random.uniform(0.005, 0.02), nights) + random.uniform(0.02, 0.06) * np.sin(phase)


def autoregressive(random: np.random.Generator, nights: int) -> Array:
    rho, spread = random.uniform(0.3, 0.7), random.uniform(0.008, 0.025)
    values = np.zeros(nights)
    for night, shock in enumerate(random.normal(0, spread * math.sqrt(1 - rho**2), nights)):
        values[night] = rho * values[night - 1] + shock
    return values


CONSTRUCTED: dict[str, Callable[[np.random.Generator, int], Array]] = {
    "normal": normal,
    "heavy tails": heavy,
    "outliers": outliers,
    "bimodal": bimodal,
    "sticky": sticky,
    "drift": drift,
    "AR(1)": autoregressive,
}


def build(
    part: str, series: int = 150, seed: int = 1337, smallest: float = 0.07, largest: float = 0.30
) -> list[Planted]:
    """The evaluation set: two fifths recorded, the rest constructed; a fifth of the series has no step, a fifth two."""
    random = np.random.default_rng(seed + PARTS.index(part))
    sources = recorded(part)
    recorded_kinds: dict[str, Callable[[np.random.Generator, int], Array]] = {
        "torch": lambda random, nights: torch_noise(random, nights, sources["levels"]),
        "processes": lambda random, nights: process_noise(random, nights, sources["processes"]),
        "medians": lambda random, nights: process_noise(random, nights, sources["processes"], 3),
    }
    kinds = ["torch", "processes", "torch", "medians"] * math.ceil(series / 10)
    kinds = kinds[: series * 2 // 5]
    kinds += [list(CONSTRUCTED)[number % len(CONSTRUCTED)] for number in range(series - len(kinds))]
    made = recorded_kinds | CONSTRUCTED
    return [
        planted(kind, made[kind](random, nights), random, (1, 1, 2, 1, 0)[number % 5], smallest, largest)
        for number, kind in enumerate(kinds)
        for nights in [int(random.integers(150, 300))]
    ]


def planted(
    kind: str,
    noise: Array,
    random: np.random.Generator,
    steps: int,
    smallest: float,
    largest: float,
    errors: Array | None = None,
) -> Planted:
    """Plant steps of log-uniform size and either sign, far enough from the ends and from each other."""
    room = len(noise) - WARM_UP - APART * steps
    offsets = np.sort(random.integers(0, room, steps)) if steps else np.zeros(0, int)
    starts = [int(WARM_UP + offset + APART * number) for number, offset in enumerate(offsets)]
    sizes = [
        math.copysign(
            math.log1p(math.exp(random.uniform(math.log(smallest), math.log(largest)))), random.uniform(-1, 1)
        )
        for _ in starts
    ]
    values = noise.copy()
    for start, size in zip(starts, sizes, strict=True):
        values[start:] += size
    return Planted(kind, values, tuple(starts), tuple(sizes), errors)


def paired(
    part: str, series: int, launches: int = 8, steps: float = 0.07, nights: int = 200
) -> list[tuple[Planted, Planted]]:
    """The same nights read twice: as one plain value, and as a paired figure with its standard error.

    The plain value of a night is one recorded launch level, for a night is one moment of the machine and not an average
    of moods hours apart; the paired figure is the mean of `launches` recorded launch effects of the same test, with
    their standard error.
    """
    stored = json.loads(DATA.read_text())
    names = [name for name in stored["effects"] if name in stored["levels"]][PARTS.index(part) :: 2]
    random = np.random.default_rng(7331 + PARTS.index(part))
    found = []
    for number in range(series):
        name = names[number % len(names)]
        levels, effects = (np.asarray(stored[kind][name]) / 10_000 for kind in ("levels", "effects"))
        plain = random.choice(levels, nights)
        drawn = random.choice(effects, (nights, launches))
        errors = drawn.std(axis=1, ddof=1) / math.sqrt(launches)
        start = int(random.integers(WARM_UP, nights - APART))
        size = math.copysign(math.log1p(steps), random.uniform(-1, 1)) if steps else 0.0
        place = ((start,), (size,)) if steps else ((), ())
        shift = np.where(np.arange(nights) >= start, size, 0.0)
        found.append(
            (Planted("plain", plain + shift, *place), Planted("paired", drawn.mean(axis=1) + shift, *place, errors))
        )
    return found
