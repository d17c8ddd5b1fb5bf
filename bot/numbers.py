"""Numbers as people read them: rounded to their uncertainty, in units that need no counting of zeros.

Promises that no figure is shown with digits it does not have, and that any float, also an absurd one from a hostile
file, becomes a short text. For every report. All functions take SI units (seconds, bytes) and fractions (0.08 is 8 %).
"""

from __future__ import annotations

import math

UNKNOWN = "unknown"
MINUS = "\N{MINUS SIGN}"
NO_INTERVAL = "(no interval)"

# A percentage finer than this is never meant: no machine repeats a time to one part in ten thousand.
_FINEST_PERCENT_PLACES = 2
_LARGEST_PLAIN = 1e6
_SMALLEST_PLAIN = 1e-6

_TIME_UNITS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_SIZE_UNITS = ((2**40, "TiB"), (2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB"), (1, "B"))


def places(uncertainty: float) -> int:
    """Decimal places that a value with this uncertainty deserves; negative places are tens and hundreds.

    The uncertainty keeps two significant digits when its first is 1, else one (the Particle Data Group's rule, "Review
    of Particle Physics", section 5.3, without its third case). Raises ValueError unless it is positive and finite.
    """
    if not (math.isfinite(uncertainty) and uncertainty > 0):
        raise ValueError(f"an uncertainty is positive and finite, not {uncertainty!r}")
    mantissa, exponent = f"{uncertainty:.15e}".split("e")
    return (1 if mantissa[0] == "1" else 0) - int(exponent)


def fixed(value: float, decimals: int, *, sign: bool = False) -> str:
    """`value` with that many decimal places (negative: rounded to tens, hundreds), with a real minus sign.

    With `sign` a positive value bears a plus. What rounds to zero bears no sign. From a million on, two digits and an
    exponent are shown; a value that is not finite is "unknown".
    """
    if not math.isfinite(value):
        return UNKNOWN
    if abs(value) >= _LARGEST_PLAIN:
        shown = f"{value:.1e}"
    else:
        rounded = round(value, decimals)
        shown = f"{rounded:.{max(decimals, 0)}f}"
        if rounded == 0:
            return shown.removeprefix("-")
    if shown.startswith("-"):
        return MINUS + shown[1:]
    return f"+{shown}" if sign else shown


def change(value: float | None, low: float | None = None, high: float | None = None) -> str:
    """A relative change and its interval: `+8.2 % ± 0.9`; without an interval `+8.2 % (no interval)`.

    The uncertainty is half the width of the interval, which need not be symmetric.
    """
    if value is None or not math.isfinite(value):
        return UNKNOWN
    half = _half_width(low, high, 100)
    if half is None:
        return f"{fixed(100 * value, 1, sign=True)} % {NO_INTERVAL}"
    if half < 0.5 * 10**-_FINEST_PERCENT_PLACES:
        return f"{fixed(100 * value, _FINEST_PERCENT_PLACES, sign=True)} % ± <0.01"
    decimals = min(places(half), _FINEST_PERCENT_PLACES)
    return f"{fixed(100 * value, decimals, sign=True)} % ± {fixed(half, decimals)}"


def measured(value: float | None, low: float | None = None, high: float | None = None, unit: str = "") -> str:
    """An absolute figure and its interval, such as a score: `987.4 ± 1.9`, or a ratio: `1.32× ± 0.04`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    half = _half_width(low, high, 1)
    if half is None:
        return f"{significant(value, 4 if abs(value) >= 100 else 3)}{unit} {NO_INTERVAL}"
    decimals = min(places(half), 6) if half > 1e-6 else 6
    return f"{fixed(value, decimals)}{unit} ± {fixed(half, decimals)}"


def _half_width(low: float | None, high: float | None, scale: float) -> float | None:
    if low is None or high is None:
        return None
    half = scale * abs(high - low) / 2
    return half if math.isfinite(half) else None


def significant(value: float, digits: int) -> str:
    """`value` with that many significant digits, zeros at the end kept (they were measured)."""
    if not math.isfinite(value):
        return UNKNOWN
    if value == 0:
        return "0"
    if abs(value) < _SMALLEST_PLAIN:
        return f"{value:.1e}".replace("-", MINUS, 1) if value < 0 else f"{value:.1e}"
    return fixed(value, digits - 1 - int(f"{value:.{digits - 1}e}".split("e")[1]))


def percent(fraction: float | None) -> str:
    """A share or the smallest visible change, to two significant digits: `1.6 %`, `2.0 %`, `12 %`."""
    if fraction is None or not math.isfinite(fraction):
        return UNKNOWN
    value = 100 * fraction
    return f"{significant(value, 2) if abs(value) < 99.5 else fixed(value, 0)} %"


def setting(fraction: float) -> str:
    """A fraction that a person chose, shown as it was chosen: `7 %`, `12.5 %`, `0.25 %`."""
    return f"{100 * fraction:.6g}".replace("-", MINUS) + " %" if math.isfinite(100 * fraction) else UNKNOWN


def signed_percent(value: float | None) -> str:
    """A change that comes without an interval and says so elsewhere, in tenths of a percent: `+3.1 %`."""
    return UNKNOWN if value is None or not math.isfinite(value) else f"{fixed(100 * value, 1, sign=True)} %"


def seconds(value: float | None) -> str:
    """A time to three significant digits: `98.9 ms`, `1.24 s`, `412 µs`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    scale, unit = _time_unit(value)
    return f"{_three_digits(value / scale)} {unit}"


def transition(base: float | None, head: float | None) -> str:
    """Two times in one unit, with as many decimals as the shorter deserves: `98.9 → 107.9 ms`."""
    if base is None:
        return seconds(head)
    known = [value for value in (base, head) if value is not None and math.isfinite(value) and value > 0]
    if head is None or len(known) < 2 or max(known) > 1000 * min(known):
        return f"{seconds(base)} → {seconds(head)}"
    scale, unit = _time_unit(min(known))
    decimals = _decimals_of_three(min(known) / scale)
    return f"{fixed(base / scale, decimals)} → {fixed(head / scale, decimals)} {unit}"


def _time_unit(value: float) -> tuple[float, str]:
    # 999.6 µs would otherwise be shown as "1000 µs".
    return next((unit for unit in _TIME_UNITS if abs(value) >= 0.9995 * unit[0]), _TIME_UNITS[-1])


def _decimals_of_three(value: float) -> int:
    exponent = int(f"{value:.2e}".split("e")[1])
    return min(max(2 - exponent, 0), 2)


def _three_digits(value: float) -> str:
    return fixed(value, _decimals_of_three(value)) if value else "0"


def size(value: float | None) -> str:
    """A number of bytes to three significant digits: `1.37 GiB`, `512 B`."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    scale, unit = next((unit for unit in _SIZE_UNITS if abs(value) >= 0.9995 * unit[0]), _SIZE_UNITS[-1])
    return f"{fixed(value, 0) if scale == 1 else _three_digits(value / scale)} {unit}"


def duration(value: float) -> str:
    """How long something took, for people who waited: `45 s`, `4 min 12 s`, `2 h 5 min`."""
    if not math.isfinite(value):
        return UNKNOWN
    if value < 59.5:
        return f"{fixed(value, 0 if value >= 9.95 else 1)} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < _LARGEST_PLAIN else UNKNOWN


def count(number: int, noun: str, plural: str = "") -> str:
    """`1 test`, `2 tests`, `3,400 rounds`."""
    return f"{number:,} {noun if number == 1 else plural or noun + 's'}"


def rate(number: int, total: int, noun: str = "test") -> str:
    """A share in plain words with its verb: `2 of 94 tests are`, `1 of 1 test is`."""
    return f"{number:,} of {count(total, noun)} {'is' if number == 1 else 'are'}"
