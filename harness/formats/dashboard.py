"""The names of the PyTorch performance dashboard: compilers, suites, dtypes, devices, and the files made of them.

Promises that a name written here is read back as what it was made from, for the names of this project's own backends
and suites, and that names of other tools are read as far as the dashboard itself reads them. A file is called
`{compiler}_{suite}_{dtype}_{mode}_{device}_{accuracy|performance}.csv`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from harness import records
from harness.formats import foreign
from harness.modenames import FLOAT32, join_mode, split_mode

COMPILERS: Mapping[str, str] = {
    "inductor": "inductor_no_cudagraphs",
    "inductor_cudagraphs": "inductor_with_cudagraphs",
    "inductor_dynamic": "inductor_dynamic",
    "inductor_max_autotune": "inductor_max_autotune",
    "inductor_freezing": "inductor_with_cudagraphs_freezing",
    "inductor_freezing_autotune": "inductor_with_cudagraphs_freezing_autotune",
    "inductor_cpp_wrapper": "inductor_cpp_wrapper",
    "aot_inductor": "inductor_aot_inductor",
    "inductor_deterministic": "inductor_deterministic_perf",
    "inductor_batch_invariant": "inductor_batch_invariant_accuracy",
}
"""The dashboard's compiler by our backend; others bear the same name in both."""
BACKENDS = {compiler: backend for backend, compiler in COMPILERS.items()}

DTYPES: Mapping[str, str] = {FLOAT32: "float32", "bf16": "bfloat16", "fp16": "float16", "amp": "amp"}
"""The dashboard's dtype by our precision; others bear the same name in both."""
PRECISIONS = {dtype: precision for precision, dtype in DTYPES.items()}

TYPES: Mapping[str, str] = {"train": "training", "eval": "inference"}
"""The dashboard's mode by our test type."""
TYPES_OF_MODES = {mode: type for type, mode in TYPES.items()}

SUITES: Mapping[str, str] = {"timm": "timm_models"}
"""The dashboard's suite by ours; others bear the same name in both."""
OUR_SUITES = {theirs: ours for ours, theirs in SUITES.items()}
_KNOWN_SUITES = ("torchbench", "huggingface", "timm_models", "timm", "yitian", "convnet", "smoke", "unknown")

# By a part of the GPU's name.
_GPUS: Mapping[str, str] = {"A100": "cuda", "H100": "cuda_h100", "B200": "cuda_b200", "A10G": "cuda_a10g"}
_CPUS: Mapping[str, str] = {
    "x86_64": "cpu_x86",
    "AMD64": "cpu_x86",
    "aarch64": "cpu_aarch64",
    "arm64": "cpu_aarch64",
}
_ARCHITECTURES: Mapping[str, str] = {"cpu_x86": "x86_64", "cpu_x86_zen": "x86_64", "cpu_aarch64": "aarch64"}
_GPUS_OF_TOKENS: Mapping[str, str] = {token: gpu for gpu, token in _GPUS.items() if token != "cuda"}

# What is no precision of a mode's name, but stands in the place of a dtype.
_FOREIGN_DTYPES = ("notset", "quant")

_STEM = re.compile(
    r"(?P<front>[\w.+-]+)_(?P<dtype>amp_bf16|amp_fp16|amp|tf32|bfloat16|float16|float32|notset|quant)"
    r"_(?P<mode>training|inference)_(?P<device>[a-z][a-z0-9]*(?:_[a-z0-9]+)*?)(?:_(?P<kind>accuracy|performance))?",
    re.ASCII,
)


@dataclass(frozen=True)
class Name:
    """What all rows of a file share, in our words; `device` is the dashboard's, such as `cpu_x86`."""

    backend: str
    suite: str
    precision: str
    type: str
    device: str

    @property
    def mode(self) -> str:
        """The mode of the tests."""
        return join_mode(self.backend, self.precision)

    @property
    def compiler(self) -> str:
        """The dashboard's compiler."""
        return COMPILERS.get(self.backend, self.backend)

    @property
    def dtype(self) -> str:
        """The dashboard's dtype."""
        return DTYPES.get(self.precision, self.precision)

    @property
    def their_suite(self) -> str:
        """The dashboard's suite, as it may stand in the name of a file."""
        suite = foreign.as_word(self.suite)
        suite = SUITES.get(suite, suite)
        # Behind another suite's underscore nobody could tell where the compiler ends.
        return suite if suite in _KNOWN_SUITES else suite.replace("_", "-")

    @property
    def stem(self) -> str:
        """`{compiler}_{suite}_{dtype}_{mode}_{device}`."""
        compiler = foreign.as_word(self.compiler)
        return f"{compiler}_{self.their_suite}_{self.dtype}_{TYPES[self.type]}_{foreign.as_word(self.device)}"

    @property
    def plain_device(self) -> str:
        """The device as a test's name has it: `cpu`, `cuda`, ..."""
        return plain_device(self.device)


def name_of(suite: str, mode: str, type: str, device: str, machine: records.Machine) -> Name:
    """The dashboard's name of tests of a run. Raises UserError for a type other than `eval` and `train`."""
    if type not in TYPES:
        foreign.refuse(
            f"tests of type {type[:40]!r}", "this format has no place for them", "export those of train and eval"
        )
    backend, precision = split_mode(mode)
    return Name(backend, suite, precision, type, device_token(device, machine))


def device_token(device: str, machine: records.Machine) -> str:
    """`cpu_x86` for the CPU of an x86 machine, `cuda_h100` for an H100, ...; else the device as it is."""
    if device == "cpu":
        return _CPUS.get(machine.architecture, device)
    if device.partition(":")[0] == "cuda" and machine.gpus:
        return next((token for gpu, token in _GPUS.items() if gpu in machine.gpus[0]), "cuda")
    return device


def plain_device(token: str) -> str:
    """`cpu` for `cpu_x86_zen`, `cuda` for `cuda_h100` and for `rocm`, which torch calls so; others as they are."""
    front = token.partition("_")[0]
    return "cuda" if front == "rocm" else front


def parse_stem(stem: str) -> tuple[Name, str | None] | None:
    """What the name of a file without its suffix says, and `accuracy` or `performance`; None for another name."""
    match = _STEM.fullmatch(stem)
    if match is None:
        return None
    compiler, suite = _parted(match["front"])
    if not compiler or not suite:
        return None
    dtype = match["dtype"]
    backend, precision = BACKENDS.get(compiler, compiler), PRECISIONS.get(dtype, dtype)
    if dtype in _FOREIGN_DTYPES:
        backend, precision = f"{backend}_{dtype}", FLOAT32
    name = Name(backend, OUR_SUITES.get(suite, suite), precision, TYPES_OF_MODES[match["mode"]], match["device"])
    return name, match["kind"]


def _parted(front: str) -> tuple[str, str]:
    for suite in _KNOWN_SUITES:
        if front.endswith(f"_{suite}"):
            return front[: -len(suite) - 1], suite
    compiler, _, suite = front.rpartition("_")
    return compiler, suite


def machine_of(token: str, known: records.Machine) -> records.Machine:
    """What a device token tells of the machine, added to what is known of it."""
    gpu = _GPUS_OF_TOKENS.get(token)
    return msgspec.structs.replace(
        known,
        architecture=_ARCHITECTURES.get(token, known.architecture),
        gpus=(gpu,) if gpu and not known.gpus else known.gpus,
    )
