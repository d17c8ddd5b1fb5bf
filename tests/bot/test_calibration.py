from __future__ import annotations

import pathlib

import msgspec
import pytest

from bot import calibration
from harness.errors import UserError
from harness.records import Health
from tests import synthetic
from tests.synthetic import Case, Noise

AA = synthetic.BASE, msgspec.structs.replace(synthetic.BASE, name="head")


def aa_run(count: int, **options: object):  # type: ignore[no-untyped-def]
    return synthetic.run(synthetic.cases(count), base=AA[0], head=AA[1], **options)


def test_the_noise_floor_holds_the_middle_95_percent_when_there_are_enough_tests() -> None:
    found = calibration.calibrated(aa_run(40))
    sizes = sorted(abs(one.change) for one in found.tests)
    assert sum(size <= found.noise_floor for size in sizes) == 38
    assert found.noise_floor == sizes[37]
    assert "95 % of 40" in found.basis
    assert found.machine.noise_floor == found.noise_floor


def test_with_few_tests_it_is_the_larger_of_two_figures_and_says_which() -> None:
    found = calibration.calibrated(aa_run(2))
    largest = max(abs(one.change) for one in found.tests)
    assert found.noise_floor == max(largest, found.half_width)
    biased = synthetic.run([Case("test_eval[a-cpu-eager]", ratio=1.3)], base=AA[0], head=AA[1])
    assert "largest of 1 A/A change" in calibration.calibrated(biased).basis


def test_more_noise_gives_a_higher_floor_and_a_larger_detectable_effect() -> None:
    quiet, loud = (calibration.calibrated(aa_run(6, noise=Noise(launch=size))) for size in (0.002, 0.05))
    assert quiet.noise_floor < loud.noise_floor
    assert quiet.detectable is not None and loud.detectable is not None and quiet.detectable < loud.detectable


def test_what_could_not_be_measured_is_named_and_nothing_measured_is_an_error() -> None:
    failed = Case("test_eval[b-cpu-eager]", status="crash", reason="SIGSEGV")
    run = synthetic.run([*synthetic.cases(1), failed], base=AA[0], head=AA[1])
    assert calibration.calibrated(run).unmeasured == ("test_eval[b-cpu-eager] (crash: SIGSEGV)",)
    with pytest.raises(UserError, match="SIGSEGV"):
        calibration.calibrated(synthetic.run([failed], base=AA[0], head=AA[1]))


def test_it_is_kept_by_fingerprint_and_damage_counts_as_none(tmp_path: pathlib.Path) -> None:
    found = calibration.calibrated(aa_run(3), ["Do this."])
    fingerprint = found.machine.fingerprint
    assert calibration.load(tmp_path, fingerprint) is None
    path = calibration.save(tmp_path / "a" / "b", found)
    assert calibration.load(tmp_path / "a" / "b", fingerprint) == found
    assert calibration.load(tmp_path / "a" / "b", "other") is None
    path.write_bytes(path.read_bytes()[:-20])
    assert calibration.load(tmp_path / "a" / "b", fingerprint) is None


HEALTH = Health(rounds=10, disturbed_rounds=0, steal=0.0, other_load=0.0, throttled=0)
IDEAL = msgspec.structs.replace(synthetic.MACHINE, governor="performance", turbo=False, smt=False, virtual=False)


def test_an_ideal_machine_needs_no_hint_nor_one_that_tells_nothing() -> None:
    silent = msgspec.structs.replace(IDEAL, governor=None, turbo=None, smt=None, virtual=None)
    unknown = Health(rounds=10, disturbed_rounds=0)
    assert calibration.hints(IDEAL, [HEALTH], 8, True) == []
    assert calibration.hints(silent, [unknown], 8, True) == []


@pytest.mark.parametrize(
    ("machine", "health", "cpus", "can_pin", "word"),
    [
        ({"governor": "powersave"}, {}, 8, True, "powersave"),
        ({"turbo": True}, {}, 8, True, "Turbo"),
        ({"smt": True}, {}, 8, True, "SMT"),
        ({"virtual": True}, {}, 8, True, "virtual machine"),
        ({}, {"other_load": 0.03}, 8, True, "Other processes took up to 3"),
        ({}, {"steal": 0.02}, 8, True, "steal"),
        ({}, {"throttled": 4}, 8, True, "throttled 4 times"),
        ({}, {}, 1, True, "only one CPU"),
        ({}, {}, 8, False, "cannot be pinned"),
    ],
)
def test_each_knob_has_its_sentence(
    machine: dict[str, object], health: dict[str, object], cpus: int, can_pin: bool, word: str
) -> None:
    (hint,) = calibration.hints(
        msgspec.structs.replace(IDEAL, **machine), [msgspec.structs.replace(HEALTH, **health)], cpus, can_pin
    )
    assert word in hint


def test_small_disturbances_are_not_worth_a_sentence() -> None:
    almost = msgspec.structs.replace(HEALTH, other_load=0.02, steal=0.01)
    assert calibration.hints(IDEAL, [almost], 2, True) == []
