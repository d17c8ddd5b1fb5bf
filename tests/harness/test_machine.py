import os
import subprocess
import sys

import pytest

from harness import machine
from harness.errors import UserError


def test_this_machine_is_described():
    described = machine.describe()
    assert described.cores == os.cpu_count()
    assert described.memory_bytes > 0
    assert described.architecture
    assert described.cpu_model
    assert set(described.cpu_flags) <= machine.TELLING_FLAGS


def test_the_fingerprint_hangs_on_the_hardware_and_not_on_the_name():
    assert machine.describe("a").fingerprint == machine.describe("b", 0.01).fingerprint
    assert (machine.describe("a").name, machine.describe("a", 0.01).noise_floor) == ("a", 0.01)


CPUINFO = """\
processor\t: 0
model name\t: {model}
flags\t\t: fpu avx avx2 fma {flags}
bogomips\t: 4000

processor\t: 1
model name\t: another core
flags\t\t: fpu
"""


@pytest.fixture
def described_from(tmp_path, monkeypatch):
    real = machine._text

    def describe(text):
        (tmp_path / "cpuinfo").write_text(text)
        monkeypatch.setattr(machine, "_text", lambda path: real(tmp_path / path.name))
        return machine.describe("here")

    return describe


def test_model_and_telling_flags_are_those_of_the_first_cpu(described_from):
    described = described_from(CPUINFO.format(model="Fast CPU", flags="hypervisor amx_bf16"))
    assert described.cpu_model == "Fast CPU"
    assert described.cpu_flags == ("amx_bf16", "avx", "avx2", "fma")
    assert described.virtual is True
    # Nothing else of /sys is there.
    assert (described.governor, described.turbo, described.smt) == (None, None, None)


def test_another_cpu_has_another_fingerprint(described_from):
    first = described_from(CPUINFO.format(model="Fast CPU", flags=""))
    assert first.virtual is False
    assert described_from(CPUINFO.format(model="Fast CPU", flags="fpu")).fingerprint == first.fingerprint
    assert described_from(CPUINFO.format(model="Fast CPU", flags="avx512f")).fingerprint != first.fingerprint
    assert described_from(CPUINFO.format(model="Slow CPU", flags="")).fingerprint != first.fingerprint


def test_a_machine_that_tells_nothing_is_described_too(described_from):
    described = described_from("")
    assert described.cpu_flags == ()
    assert described.virtual is None
    assert described.fingerprint


AVAILABLE = machine.available_cpus()


def test_the_lanes_get_the_last_cpus():
    for threads in range(1, len(AVAILABLE) + 1):
        assert machine.choose_cpus(threads) == AVAILABLE[-threads:]


def test_wanted_cpus_are_taken_in_ascending_order_and_once():
    assert machine.choose_cpus(1, AVAILABLE[::-1]) == AVAILABLE
    assert machine.choose_cpus(1, (AVAILABLE[0], AVAILABLE[0])) == (AVAILABLE[0],)


@pytest.mark.parametrize(
    ("threads", "wanted", "sentence"),
    [
        (0, (), "0 threads cannot run anything"),
        (-1, (), "-1 threads cannot run anything"),
        (len(AVAILABLE) + 1, (), f"do not fit on {len(AVAILABLE)} CPUs; use --threads {len(AVAILABLE)} or fewer"),
        (2, AVAILABLE[:1], "2 threads do not fit on 1 CPUs"),
        (2, AVAILABLE[:1] * 2, "2 threads do not fit on 1 CPUs"),
        (1, (100_000,), "CPU 100000 is not one of those this process may use"),
        (1, (*AVAILABLE, -1), "CPU -1 is not one of those this process may use"),
    ],
)
def test_cpus_that_cannot_be_had_are_one_sentence(threads, wanted, sentence):
    with pytest.raises(UserError) as error:
        machine.choose_cpus(threads, wanted)
    assert sentence in str(error.value)


@pytest.mark.skipif(len(AVAILABLE) < 2, reason="there is no other CPU to move to")
def test_the_coordinator_steps_aside_and_comes_back():
    with machine.stepping_aside(AVAILABLE[-1:]):
        assert machine.available_cpus() == AVAILABLE[:-1]
    assert machine.available_cpus() == AVAILABLE
    with pytest.raises(KeyError), machine.stepping_aside(AVAILABLE[-1:]):
        raise KeyError
    assert machine.available_cpus() == AVAILABLE


def test_with_no_cpu_to_move_to_the_coordinator_stays():
    with machine.stepping_aside(AVAILABLE):
        assert machine.available_cpus() == AVAILABLE


def test_describing_the_machine_loads_no_torch():
    code = "import sys, harness.machine as m; m.describe(); m.choose_cpus(1); sys.exit('torch' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.fixture
def topology(tmp_path, monkeypatch):
    """Lays out a /sys of cores, each its CPUs, and of nodes, each the kernel's list of its CPUs; all may be used."""

    def lay_out(cores, nodes, available=None):
        for core in cores:
            for cpu in core:
                folder = tmp_path / f"cpu/cpu{cpu}/topology"
                folder.mkdir(parents=True)
                (folder / "thread_siblings_list").write_text(",".join(map(str, core)) + "\n")
        for number, cpus in enumerate(nodes):
            (tmp_path / f"node/node{number}").mkdir(parents=True)
            (tmp_path / f"node/node{number}/cpulist").write_text(f"{cpus}\n")
        every = sorted(cpu for core in cores for cpu in core)
        monkeypatch.setattr(machine, "_CPU", tmp_path / "cpu")
        monkeypatch.setattr(machine, "_NODES", tmp_path / "node")
        monkeypatch.setattr(machine, "available_cpus", lambda: tuple(every if available is None else available))

    return lay_out


HYPERTHREADED = [(cpu, cpu + 8) for cpu in range(8)]


def test_presets_take_one_cpu_of_each_core(topology):
    topology(HYPERTHREADED, ["0-3,8-11", "4-7,12-15"])
    assert machine.preset_cpus("physical-cores") == tuple(range(8))
    # As large as the first, and the last.
    assert machine.preset_cpus("numa-node") == (4, 5, 6, 7)
    assert machine.preset_cpus("single-core") == (7,)


def test_neighbouring_cpus_may_be_one_core_too(topology):
    topology([(0, 1), (2, 3), (4, 5)], ["0-5"])
    assert machine.preset_cpus("physical-cores") == machine.preset_cpus("numa-node") == (0, 2, 4)


def test_presets_keep_to_the_cpus_that_may_be_used(topology):
    topology(HYPERTHREADED, ["0-3,8-11", "4-7,12-15", ""], available=(1, 2, 3, 9, 13, 14))
    assert machine.preset_cpus("physical-cores") == (1, 2, 3, 13, 14)
    assert machine.preset_cpus("numa-node") == (1, 2, 3)
    assert machine.preset_cpus("single-core") == (14,)


def test_a_machine_that_does_not_tell_its_topology_is_one_sentence(topology):
    topology([(0,)], [])
    assert machine.preset_cpus("single-core") == (0,)
    with pytest.raises(UserError, match="does not tell its NUMA nodes"):
        machine.preset_cpus("numa-node")
    topology([], [], available=(5,))
    with pytest.raises(UserError, match="does not tell its cores"):
        machine.preset_cpus("physical-cores")


@pytest.mark.skipif(sys.platform != "linux", reason="the topology is read from /sys")
@pytest.mark.parametrize("preset", machine.CPU_PRESETS)
def test_the_presets_of_this_machine_can_be_had(preset):
    cpus = machine.preset_cpus(preset)
    assert machine.choose_cpus(len(cpus), cpus) == cpus


@pytest.mark.parametrize(
    ("text", "cpus"), [("0", {0}), ("0-2,5\n", {0, 1, 2, 5}), ("", set()), ("3,7-8", {3, 7, 8}), (" 1 \n", {1})]
)
def test_lists_of_the_kernel_are_read(text, cpus):
    assert machine.parse_cpus(text) == cpus
