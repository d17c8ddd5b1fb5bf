import importlib

import pytest

from harness.benchmark import Request, load
from harness.clock import CpuClock
from harness.lanes import MODES, step_of

torch = pytest.importorskip("torch")

seawater = importlib.import_module("harness.suites.torchbench.networks.seawater")
isoneutral = importlib.import_module("harness.suites.torchbench.networks.isoneutral")

SUITE = load("torchbench")
NAMES = ("pyhpc_equation_of_state", "pyhpc_isoneutral_mixing")


def build(name, size="small", device="cpu", **changes):
    request = Request("eval", device, {**SUITE[name].description.sizes[size], **changes})
    return SUITE[name].build(request), request


def evaluate(name, **changes):
    workload, request = build(name, **changes)
    return step_of(workload, request)(CpuClock())


def specific_volume(salinity, temperature, pressure):
    """The rational function itself, as published: N / D."""
    parts = []
    for terms in (seawater.NUMERATOR, seawater.DENOMINATOR):
        parts.append(
            sum(
                coefficient * pressure**by_pressure * salinity ** (by_root / 2) * temperature**power
                for (by_pressure, by_root), coefficients in terms.items()
                for power, coefficient in enumerate(coefficients)
            )
        )
    return parts[0] / parts[1]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(("size", "cells"), [("v1", 2**22), ("current", 2**20)])
def test_the_grids_are_those_of_pyhpc(name, size, cells):
    # Twice the cube root in longitude and latitude, a quarter of it in depth, rounded up.
    edge = cells ** (1 / 3)
    assert SUITE[name].description.sizes[size]["grid"] == (
        -int(-2 * edge // 1),
        -int(-2 * edge // 1),
        -int(-edge / 4 // 1),
    )


def test_the_equation_of_state_has_the_inputs_of_v1():
    with torch.device("meta"):
        workload, _ = build("pyhpc_equation_of_state", "v1", "meta")
    assert [tuple(tensor.shape) for tensor in workload.inputs] == [(323, 323, 41), (323, 323, 41), (1, 1, 41)]
    assert {tensor.dtype for tensor in workload.inputs} == {torch.float64}


def test_the_equation_has_48_terms():
    tables = (seawater.NUMERATOR, seawater.DENOMINATOR)
    assert sum(number != 0 for table in tables for row in table.values() for number in row) == 48


# Density in kg/m³ of gsw 3.6.23, which fits the same data by another polynomial, of 75 terms: `gsw.rho`; and its
# `gsw.enthalpy_first_derivatives` by Conservative Temperature less its heat capacity of 3991.86795711963 J/(kg K).
PUBLISHED = [
    (35.0, 10.0, 1000.0, 1031.28107, 1.7137699),
    (10.0, 20.0, 500.0, 1008.15374, 1.0536025),
    (34.9, 2.0, 4000.0, 1045.75634, 4.9873336),
    (34.0, 25.0, 200.0, 1023.32989, 0.5792152),
    (5.0, 4.0, 900.0, 1008.33088, 0.2379723),
]


@pytest.mark.parametrize(("salinity", "temperature", "pressure", "density", "derivative"), PUBLISHED)
def test_density_and_enthalpy_agree_with_the_published_toolbox(salinity, temperature, pressure, density, derivative):
    cell = [torch.tensor(number, dtype=torch.float64) for number in (salinity, temperature, pressure)]
    assert (1 / specific_volume(*cell)).item() == pytest.approx(density, abs=0.005)
    # Where the water is densest the derivative is near zero, and the two polynomials differ by more than their share.
    assert seawater.EnthalpyDerivative()(*cell).item() == pytest.approx(derivative, rel=0.002, abs=0.001)


def test_the_closed_form_is_the_integral_of_specific_volume():
    torch.manual_seed(3)
    salinity = 40 * torch.rand(50, dtype=torch.float64)
    temperature = (30 * torch.rand(50, dtype=torch.float64)).requires_grad_()
    pressure = 10 + 5000 * torch.rand(50, dtype=torch.float64)
    # Simpson's rule over 200 intervals; automatic differentiation for the temperature.
    steps = torch.linspace(0, 1, 201, dtype=torch.float64)[:, None]
    weights = torch.tensor([1.0] + [4.0, 2.0] * 99 + [4.0, 1.0], dtype=torch.float64)[:, None] / 600
    enthalpy = 1e4 * pressure * (weights * specific_volume(salinity, temperature, steps * pressure)).sum(0)
    (expected,) = torch.autograd.grad(enthalpy.sum(), temperature)
    found = seawater.EnthalpyDerivative()(salinity, temperature.detach(), pressure)
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-10)


def test_isoneutral_mixing_has_the_inputs_of_v1():
    with torch.device("meta"):
        workload, _ = build("pyhpc_isoneutral_mixing", "v1", "meta")
    shapes = [tuple(tensor.shape) for tensor in workload.inputs]
    grid = (323, 323, 41)
    assert len(shapes) == 23
    assert shapes.count(grid) == 4 + 1 + 3
    assert shapes.count((*grid, 3)) == 2
    assert shapes.count((*grid, 2, 2)) == 4
    assert shapes.count((323,)) == 6
    assert shapes.count((41,)) == 3
    assert {tensor.dtype for tensor in workload.inputs} == {torch.float64}


def test_isoneutral_mixing_leaves_the_halo_and_works_in_every_inner_cell():
    results = evaluate("pyhpc_isoneutral_mixing", grid=(10, 9, 6))
    for result in results:
        assert result.isfinite().all()
        assert result[0].abs().max() == result[-2:].abs().max() == 0
        assert result[:, 0].abs().max() == result[:, -2:].abs().max() == 0
    k_11, k_22, k_33, *slopes = results
    assert (k_11[2:-2, 2:-2] >= 0).all()
    assert (k_22[2:-2, 2:-2] >= 0).all()
    assert (k_33[..., -1] == 0).all()
    assert all((slope != 0).any() for slope in slopes)


def uniform_ocean():
    """The arguments for an ocean without land whose temperature is a plane; uniform spacings."""
    x, y, z = 12, 11, 7
    ones = {"mask": torch.ones(x, y, z).double()}
    slope_x, slope_y, dz = 2e-4, -3e-4, 100.0
    dx, dy = 1e4, 2e4
    place = torch.meshgrid(*(torch.arange(n).double() for n in (x, y, z)), indexing="ij")
    # Warmer by 0.01 degrees per metre upwards, so surfaces of equal temperature rise by -slope where it also grows.
    field = 10 + 0.01 * (dz * place[2] + slope_x * dx * place[0] + slope_y * dy * place[1])
    temperature = torch.stack([field, torch.zeros_like(field), torch.zeros_like(field)], -1)
    salinity = torch.full_like(temperature, 35.0)
    spacing = [torch.full((n,), d).double() for n, d in ((x, dx), (x, dx), (y, dy), (y, dy), (z, dz), (z, dz))]
    results = [torch.zeros(x, y, z).double() for _ in range(3)]
    results += [torch.zeros(x, y, z, 2, 2).double() for _ in range(4)]
    arguments = [*(ones["mask"] for _ in range(4)), *spacing, torch.ones(y).double(), torch.ones(y).double()]
    arguments += [salinity, temperature, torch.linspace(-600, 0, z).double(), 1000 * ones["mask"], *results]
    return arguments, slope_x, slope_y


def test_slopes_of_an_ocean_whose_temperature_is_a_plane():
    arguments, slope_x, slope_y = uniform_ocean()
    k_11, k_22, k_33, ai_ez, ai_nz, ai_bx, ai_by = isoneutral.IsoneutralMixing()(*arguments)

    def kept(slope):
        return 0.5 * (1 + torch.tensor((1e-3 - abs(slope)) / 1e-3, dtype=torch.float64).tanh())

    inner = (slice(2, -2), slice(2, -2), slice(1, -1))
    for found, slope in ((ai_ez, slope_x), (ai_bx, slope_x), (ai_nz, slope_y), (ai_by, slope_y)):
        # Colder water is heavier: density falls where temperature rises, and a neutral surface falls with the plane.
        torch.testing.assert_close(found[inner], (-slope * kept(slope)).expand_as(found[inner]), rtol=1e-9, atol=0)
    for found, slope in ((k_11, slope_x), (k_22, slope_y)):
        torch.testing.assert_close(found[inner], (1000 * kept(slope)).expand_as(found[inner]), rtol=1e-9, atol=0)
    expected = 1000 * (kept(slope_x) * slope_x**2 + kept(slope_y) * slope_y**2)
    torch.testing.assert_close(k_33[inner], expected.expand_as(k_33[inner]), rtol=1e-9, atol=0)
    # The lowest cell of a column has but the triads above it, and the top face of the highest no water beyond it.
    torch.testing.assert_close(k_11[2:-2, 2:-2, 0], (500 * kept(slope_x)).expand(8, 7), rtol=1e-9, atol=0)


def test_unstable_water_has_no_neutral_surface():
    arguments, *_ = uniform_ocean()
    temperature = arguments[13]
    arguments[13] = 20 - temperature
    k_11, k_22, k_33, *slopes = isoneutral.IsoneutralMixing()(*arguments)
    assert all(slope.abs().max() == 0 for slope in slopes)
    assert k_33.abs().max() == 0
    assert torch.allclose(k_11[2:-2, 2:-2, 1:-1], torch.tensor(50.0).double())
    assert torch.allclose(k_22[2:-2, 2:-2, 1:-1], torch.tensor(50.0).double())


def test_a_second_step_overwrites_what_the_first_wrote():
    workload, request = build("pyhpc_isoneutral_mixing", grid=(9, 9, 5))
    step = step_of(workload, request)
    first = [result.clone() for result in step(CpuClock())]
    assert all(torch.equal(*pair) for pair in zip(first, step(CpuClock()), strict=True))


@pytest.mark.filterwarnings(
    "ignore:.*torch.jit:FutureWarning", "ignore:.*deprecated", "ignore::torch.jit.TracerWarning"
)
@pytest.mark.parametrize("name", NAMES)
def test_jit_computes_the_same(name):
    workload, request = build(name, grid=(12, 12, 6))
    expected = step_of(workload, request)(CpuClock())
    workload, _ = build(name, grid=(12, 12, 6))
    found = step_of(MODES["jit"].prepare(workload, request), request)(CpuClock())
    torch.testing.assert_close(found, expected)


def test_neither_trains():
    for name in NAMES:
        assert SUITE[name].description.why_not("train", "cpu", "eager") == "it has no parameters to train"
