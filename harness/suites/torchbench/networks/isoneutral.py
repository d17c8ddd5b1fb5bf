"""Isoneutral mixing: the slopes of surfaces of neutral density and the diffusion tensor along them.

What an ocean model computes before it diffuses tracers along such surfaces, in the discretisation by triads of Griffies
et al., "Isoneutral diffusion in a z-coordinate ocean model" (1998), with the slopes limited as by Danabasoglu and
McWilliams (1995). Each slope is the ratio of a horizontal and a vertical gradient of density that share a corner of a
cell; four such triads surround a face of a cell, and each face's diffusivity is the mean over its four.

Fields have axes longitude, latitude, depth (rising towards the surface); the tracers have a fourth, of time levels. Two
cells at either end of the horizontal axes are halo and stay zero. The results are written into arrays that the caller
owns, as an ocean model keeps its state.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from harness.benchmark import Request, Workload

STEEPEST = 1e-3
"""Slope at which the taper is one half."""
TAPER_WIDTH = 1e-3
STEEP_DIFFUSIVITY = 50.0
"""Least horizontal diffusivity, m²/s: what is left where slopes are too steep."""
TINY = 1e-20
HALO = 2
NOW = 0
"""The time level of the tracers that is read."""


@dataclass(frozen=True)
class Tracer:
    """What is needed of temperature or salinity: its effect on density, and its gradients at the faces of cells."""

    density: Tensor
    east: Tensor
    north: Tensor
    up: Tensor


def density_by_temperature(temperature: Tensor, depth: Tensor) -> Tensor:
    """Derivative of density by temperature, kg/(m³ K): an equation of state quadratic in it (Vallis, 2006).

    `depth` is the height of the cells, negative below the surface, in metres.
    """
    density, gravity, reference = 1024.0, 9.81, 283.0 - 273.15
    expansion, thermobaric, cabbeling = 1.67e-4, 1.1e-8, 1e-5
    pressure = -depth * gravity * density
    return -(cabbeling * (temperature - reference) + expansion * (1 + thermobaric * pressure)) * density


def density_by_salinity(salinity: Tensor) -> Tensor:
    """Derivative of density by salinity, kg/m³ per g/kg: a constant."""
    return torch.full_like(salinity, 0.78e-3 * 1024.0)


def difference(field: Tensor, axis: int) -> Tensor:
    """Each cell's next neighbour along `axis` less itself; one cell shorter."""
    cells = field.shape[axis] - 1
    return field.narrow(axis, 1, cells) - field.narrow(axis, 0, cells)


def padded(field: Tensor, axis: int) -> Tensor:
    """`field` with one cell of zeros appended along `axis`."""
    return functional.pad(field, [0, 0] * (2 - axis) + [0, 1])


def taper(slope: Tensor) -> Tensor:
    """1 for gentle slopes, 0 for steep ones."""
    return 0.5 * (1 + torch.tanh((STEEPEST - slope.abs()) / TAPER_WIDTH))


def window(field: Tensor, axis: int = 0, shift: int = 0, rise: slice = slice(None)) -> Tensor:
    """The inner cells of a field, moved by `shift` along a horizontal axis, with the depths `rise`."""
    horizontal = [slice(HALO, -HALO), slice(HALO, -HALO)]
    horizontal[axis] = slice(HALO + shift, field.shape[axis] - HALO + shift)
    return field[horizontal[0], horizontal[1], rise]


def slope_of(tracers: tuple[tuple[Tensor, Tensor, Tensor], ...]) -> Tensor:
    """The slope of neutral surfaces from (effect on density, horizontal, vertical gradient) of each tracer."""
    across = sum(density * horizontal for density, horizontal, _ in tracers)
    up = sum(density * vertical for density, _, vertical in tracers)
    # Light water below heavy water has no neutral surface: there the slope is made immense, and so tapered away.
    return -across / (up.clamp(max=0.0) - TINY)


class IsoneutralMixing(nn.Module):
    """The slopes `Ai_*` and the diagonal `K_*` of the mixing tensor; without parameters.

    The 23 arguments bear the names that ocean models give them: masks of water in cells (T) and on their eastern (U),
    northern (V) and upper (W) faces, spacings of cells and of faces, cosines of latitude of cells and faces, salinity
    and temperature [x, y, z, 3], height of the cells, diffusivity, and then the seven results: three diffusivities
    [x, y, z], and for the eastern, northern and upper faces four slopes [x, y, z, 2, 2] each, the upper face having
    those in x and those in y.
    """

    def forward(
        self,
        mask_t: Tensor,
        mask_u: Tensor,
        mask_v: Tensor,
        mask_w: Tensor,
        dxt: Tensor,
        dxu: Tensor,
        dyt: Tensor,
        dyu: Tensor,
        dzt: Tensor,
        dzw: Tensor,
        cost: Tensor,
        cosu: Tensor,
        salt: Tensor,
        temp: Tensor,
        zt: Tensor,
        diffusivity: Tensor,
        k_11: Tensor,
        k_22: Tensor,
        k_33: Tensor,
        ai_ez: Tensor,
        ai_nz: Tensor,
        ai_bx: Tensor,
        ai_by: Tensor,
    ) -> tuple[Tensor, ...]:
        """Fill the seven results and return them."""
        salt, temp = salt[..., NOW], temp[..., NOW]
        dx, dy = dxu[:-1, None, None] * cost[None, :, None], dyu[None, :-1, None]

        def gradients(field: Tensor, density: Tensor) -> Tracer:
            return Tracer(
                mask_t * density,
                mask_u * padded(difference(field, 0) / dx, 0),
                mask_v * padded(difference(field, 1) / dy, 1),
                mask_w * padded(difference(field, 2) / dzw[:-1], 2),
            )

        tracers = (
            gradients(temp, density_by_temperature(temp, zt)),
            gradients(salt, density_by_salinity(salt)),
        )
        lateral(0, mask_u, [(t.density, t.east, t.up) for t in tracers], diffusivity, dzt, dzw, k_11, ai_ez)
        lateral(1, mask_v, [(t.density, t.north, t.up) for t in tracers], diffusivity, dzt, dzw, k_22, ai_nz)
        east = [(t.density, t.east, t.up) for t in tracers]
        north = [(t.density, t.north, t.up) for t in tracers]
        # Sums over faces, weighted by the face's width, divided by four times the cell's.
        in_x = vertical(0, mask_w, east, diffusivity, dxu[:, None, None], ai_bx)
        in_y = vertical(1, mask_w, north, diffusivity, (dyu * cosu)[None, :, None], ai_by)
        inner = slice(HALO, -HALO)
        in_x = in_x / (4 * dxt[inner, None, None])
        in_y = in_y / (4 * (dyt * cost)[None, inner, None])
        k_33[inner, inner, :-1] = in_x + in_y
        k_33[inner, inner, -1] = 0.0
        return k_11, k_22, k_33, ai_ez, ai_nz, ai_bx, ai_by


Fields = list[tuple[Tensor, Tensor, Tensor]]
"""For each tracer its effect on density, its gradient along the horizontal axis in question, and its vertical one."""


def lateral(
    axis: int,
    mask: Tensor,
    tracers: Fields,
    diffusivity: Tensor,
    dzt: Tensor,
    dzw: Tensor,
    result: Tensor,
    slopes: Tensor,
) -> None:
    """Fill the diffusivity and the four slopes of the eastern (axis 0) or northern (axis 1) faces.

    Unlike other cells', the faces begin one cell inside the halo, so that every inner cell has one on either side.
    """
    other = 1 - axis
    cells = mask.shape[axis] - 2 * HALO + 1

    def faces(field: Tensor, shift: int = 0, low: int = 0, depths: int | None = None) -> Tensor:
        depths = field.shape[2] - low if depths is None else depths
        inner = field.narrow(other, HALO, field.shape[other] - 2 * HALO)
        return inner.narrow(axis, HALO - 1 + shift, cells).narrow(2, low, depths)

    both = faces(diffusivity) + faces(diffusivity, shift=1)
    # On the upper and lower half of a face; the lowest cell has no neighbour below it.
    mean = torch.cat([0.5 * both[..., :1], 0.25 * (both[..., 1:] + both[..., :-1])], dim=2)
    total = torch.zeros_like(mean)
    for above in (0, 1):
        # The triads below a cell's centre reach to the face under it, so the lowest cell has none.
        low = 1 - above
        depths = mask.shape[2] - low
        water = faces(mask, low=low)
        for side in (0, 1):
            triad = tuple(
                (faces(density, side, low), faces(horizontal, low=low), faces(vertical, side, 0, depths))
                for density, horizontal, vertical in tracers
            )
            slope = slope_of(triad)
            kept = taper(slope)
            total[..., low:] += dzw[:depths] * water * (mean[..., low:] * kept).clamp(min=STEEP_DIFFUSIVITY)
            faces(slopes[..., side, above], low=low).copy_(kept * slope * water)
    faces(result).copy_(total / (4 * dzt))


def vertical(axis: int, mask: Tensor, tracers: Fields, diffusivity: Tensor, width: Tensor, slopes: Tensor) -> Tensor:
    """Fill the four slopes of the upper faces along a horizontal axis; returns their part of the diffusivity.

    That is the sum over triads of `width` (of the face between two cells) times diffusivity and squared slope.
    """
    below_top, above_bottom = slice(None, -1), slice(1, None)
    water = window(mask, rise=below_top)
    diffusivity = window(diffusivity, rise=below_top)
    total = torch.zeros_like(water)
    for side in (0, 1):
        weight = width.narrow(axis, HALO - 1 + side, width.shape[axis] - 2 * HALO)
        for above in (0, 1):
            rise = above_bottom if above else below_top
            triad = tuple(
                (
                    window(density, rise=rise),
                    window(horizontal, axis, side - 1, rise),
                    window(up, rise=below_top),
                )
                for density, horizontal, up in tracers
            )
            slope = slope_of(triad)
            kept = taper(slope)
            total += weight * diffusivity * kept * slope * slope * water
            window(slopes[..., side, above], rise=below_top).copy_(kept * slope * water)
    return total


def isoneutral_mixing(request: Request) -> Workload:
    """The mixing of a random ocean: four cells in five are water, warm above and cold below.

    V1 draws spacings and cosines from a normal distribution, of either sign; here they are those of a real grid.
    """
    torch.manual_seed(request.seed)
    x, y, z = grid = tuple(request.size["grid"])

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(shape, dtype=torch.float64)

    masks = tuple((uniform(0, 1, *grid) < 0.8).double() for _ in range(4))
    spacings = (*(uniform(5e4, 15e4, n) for n in (x, x, y, y)), *(uniform(50, 150, z) for _ in range(2)))
    cosines = (uniform(0.5, 1, y), uniform(0.5, 1, y))
    height = torch.linspace(-4000, -50, z, dtype=torch.float64)
    stratification = torch.linspace(0, 20, z, dtype=torch.float64)[:, None]
    salinity = 35 + 0.05 * torch.randn(*grid, 3, dtype=torch.float64)
    temperature = stratification + 0.5 * torch.randn(*grid, 3, dtype=torch.float64)
    diffusivity = uniform(500, 1500, *grid)
    results = (
        *(torch.zeros(grid, dtype=torch.float64) for _ in range(3)),
        *(torch.zeros(*grid, 2, 2, dtype=torch.float64) for _ in range(4)),
    )
    inputs = (*masks, *spacings, *cosines, salinity, temperature, height, diffusivity, *results)
    return Workload(
        model=IsoneutralMixing(),
        inputs=tuple(tensor.to(request.device) for tensor in inputs),
        items=x * y * z,
    )
