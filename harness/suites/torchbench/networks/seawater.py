"""The equation of state of seawater: how the enthalpy of a parcel under pressure depends on its temperature.

TEOS-10 in the rational function of 48 terms of McDougall, Barker, Feistel and Jackett, "A computationally efficient
48-term expression for the density of seawater in terms of Conservative Temperature" (2011), as in IOC et al. (2010).
The specific volume is N / D, with N cubic and D quadratic in pressure, so its integral over pressure, the dynamic
enthalpy, has a closed form; what is computed is the derivative of that form, by hand, as ocean models do.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from harness.benchmark import Request, Workload

Terms = Mapping[tuple[int, int], tuple[float, ...]]
"""(Power of pressure, power of the root of salinity) -> coefficients by rising power of temperature."""

NUMERATOR: Terms = {
    (0, 0): (1.0, 2.775927747785646e-3, -2.349607444135925e-5, 1.119513357486743e-6, 6.743689325042773e-10),
    (0, 2): (
        -7.521448093615448e-3,
        -2.764306979894411e-5,
        1.262937315098546e-7,
        9.527875081696435e-10,
        -1.811147201949891e-11,
    ),
    (0, 3): (
        -3.303308871386421e-5,
        3.801564588876298e-7,
        -7.672876869259043e-9,
        -4.634182341116144e-11,
        2.681097235569143e-12,
    ),
    (0, 4): (5.419326551148740e-6,),
    (1, 0): (-2.742185394906099e-5, -3.212746477974189e-7, 3.191413910561627e-9, -1.931012931541776e-12),
    (1, 2): (-1.105097577149576e-7, 6.211426728363857e-10),
    (2, 0): (-1.119011592875110e-10, -1.941660213148725e-11, -1.864826425365600e-14),
    (2, 2): (0.0, 1.119522344879478e-14),
    (3, 0): (-1.200507748551599e-15, 6.057902487546866e-17),
}

DENOMINATOR: Terms = {
    (0, 0): (9.998420897506056e2, 2.839940833161907, -3.147759265588511e-2, 1.181805545074306e-3),
    (0, 2): (-6.698001071123802, -2.986498947203215e-2, 2.327859407479162e-4),
    (0, 3): (-3.988822378968490e-2, 5.095422573880500e-4, -1.426984671633621e-5, 1.645039373682922e-7),
    (1, 0): (-2.233269627352527e-2, -3.436090079851880e-4, 3.726050720345733e-6),
    (1, 2): (-1.806789763745328e-4, 6.876837219536232e-7),
    (2, 0): (-3.087032500374211e-7, -1.988366587925593e-8, -1.061519070296458e-11),
    (2, 2): (1.550932729220080e-10,),
}

PASCALS_PER_DECIBAR = 1e4


def horner(coefficients: tuple[float, ...], x: Tensor) -> Tensor | float:
    """The polynomial with coefficients by rising power at `x`; a number where it is constant."""
    value: Tensor | float = coefficients[-1]
    for coefficient in coefficients[-2::-1]:
        value = coefficient + x * value
    return value


def coefficients_of_pressure(terms: Terms, salinity: Tensor, temperature: Tensor) -> tuple[list[Tensor], list[Tensor]]:
    """The polynomial in pressure that `terms` is at a salinity and temperature, and its derivative by temperature.

    Both are lists of coefficients by rising power of pressure.
    """
    root = salinity.sqrt()
    powers = {2: salinity, 3: salinity * root, 4: salinity * salinity}
    values: list[Tensor] = []
    derivatives: list[Tensor] = []
    for (pressure_power, root_power), by_temperature in terms.items():
        value = horner(by_temperature, temperature)
        slopes = tuple(power * coefficient for power, coefficient in enumerate(by_temperature))[1:]
        derivative = horner(slopes, temperature) if slopes else None
        if root_power == 0:
            # The first term of its power of pressure.
            values.append(value)
            derivatives.append(derivative)
            continue
        values[pressure_power] = values[pressure_power] + powers[root_power] * value
        if derivative is not None:
            derivatives[pressure_power] = derivatives[pressure_power] + powers[root_power] * derivative
    return values, derivatives


class EnthalpyDerivative(nn.Module):
    """Derivative of the dynamic enthalpy by Conservative Temperature, J/(kg K); without parameters.

    Absolute salinity in g/kg, temperature in degrees Celsius and sea pressure in dbar, of shapes that broadcast.

    With N = a0 + a1 p + a2 p^2 + a3 p^3 and D = b0 + 2 b1 p + b2 p^2, long division gives
    N / D = c + r p + (n + m p) / D, whose integral from 0 to p is
    c p + r p^2 / 2 + k log(D / b0) + q log((A + b2 p) B / ((B + b2 p) A))
    with s = sqrt(b1^2 - b0 b2), A = b1 - s, B = b1 + s, k = m / (2 b2) and q = (n - 2 k b1) / (2 s). Here a name that
    begins with d is the derivative by temperature of what the rest of it names.
    """

    def forward(self, salinity: Tensor, temperature: Tensor, pressure: Tensor) -> Tensor:
        """The derivative in every cell."""
        p = pressure
        (a0, a1, a2, a3), (da0, da1, da2, da3) = coefficients_of_pressure(NUMERATOR, salinity, temperature)
        (b0, twice_b1, b2), (db0, dtwice_b1, db2) = coefficients_of_pressure(DENOMINATOR, salinity, temperature)
        b1, db1 = 0.5 * twice_b1, 0.5 * dtwice_b1

        r = a3 / b2
        dr = (da3 - r * db2) / b2
        c = (a2 - 2 * r * b1) / b2
        dc = (da2 - 2 * (dr * b1 + r * db1) - c * db2) / b2
        n = a0 - b0 * c
        dn = da0 - db0 * c - b0 * dc
        m = a1 - r * b0 - 2 * b1 * c
        dm = da1 - dr * b0 - r * db0 - 2 * (db1 * c + b1 * dc)

        s = (b1 * b1 - b0 * b2).sqrt()
        ds = (2 * b1 * db1 - db0 * b2 - b0 * db2) / (2 * s)
        low, dlow = b1 - s, db1 - ds
        high, dhigh = b1 + s, db1 + ds

        k = m / (2 * b2)
        dk = (0.5 * dm - k * db2) / b2
        q = (n - 2 * k * b1) / (2 * s)
        dq = (dn - 2 * (dk * b1 + k * db1) - 2 * q * ds) / (2 * s)

        beyond_low, dbeyond_low = low + b2 * p, dlow + db2 * p
        beyond_high, dbeyond_high = high + b2 * p, dhigh + db2 * p
        growth = p * (2 * b1 + b2 * p)
        dgrowth = p * (2 * db1 + db2 * p)
        first = torch.log(1 + growth / b0)
        dfirst = (db0 + dgrowth) / (b0 + growth) - db0 / b0
        second = torch.log(1 + 2 * b2 * p * s / (low * beyond_high))
        dsecond = dbeyond_low / beyond_low - dlow / low + dhigh / high - dbeyond_high / beyond_high

        by_decibar = p * (dc + 0.5 * p * dr) + dk * first + k * dfirst + dq * second + q * dsecond
        return PASCALS_PER_DECIBAR * by_decibar


def equation_of_state(request: Request) -> Workload:
    """The derivative on a grid of random brackish water, its pressure depending on depth alone."""
    torch.manual_seed(request.seed)
    grid = tuple(request.size["grid"])

    def uniform(low: float, high: float, shape: tuple[int, ...]) -> Tensor:
        return (low + (high - low) * torch.rand(shape, dtype=torch.float64)).to(request.device)

    salinity = uniform(0.01, 10, grid)
    inputs = (salinity, uniform(-12, 20, grid), uniform(0, 1000, (1, 1, grid[2])))
    return Workload(model=EnthalpyDerivative(), inputs=inputs, items=salinity.numel())
