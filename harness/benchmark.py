"""What a benchmark is, and the registry that holds all of them.

A benchmark is a model, its input and one step of work. A suite is a module whose functions are registered here by the
`benchmark` decorator; each function builds a `Workload` for a `Request`. Everything about a benchmark that can be
known without building it (its task, sizes, devices, what it cannot do and why) is data on the decorator, so that plans
are made, listed and sharded without importing torch.

This module is copied beside the worker into foreign builds: standard library only. A built-in suite must be importable
without torch too (import it inside the functions, or keep networks in a module of their own); a user's file need not
be.
"""

from __future__ import annotations

import contextlib
import dataclasses
import importlib
import importlib.util
import json
import pathlib
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

TYPES = ("eval", "train")
DEVICES = ("cpu", "cuda")
BUILTIN_SUITES = ("smoke", "torchbench", "timm", "huggingface", "yitian", "convnet", "answers", "control")
ANSWERS = {
    "": "any tensors",
    "classification": "a logit for each class",
    "detection": "boxes in images, as torchvision's detectors give them",
    "embedding": "a vector for each item",
    "span": "where an answer begins and ends in a text",
}
"""Kinds of answers that a benchmark may declare, for lanes to be compared by what they answer."""
WEIGHTS = {"random": "made from the seed", "trained": "from training; what the model answers means something"}
LISTS = {
    "current": "the models that the TorchDynamo benchmark runs today",
    "2025": "those that it ran before October 2025",
    "earlier": "those that it ran at some time before and then no more",
}
"""Published lists of models that a benchmark may be on, and what each is."""
COMPATIBILITIES = ("v1", "dynamo", "dynamo-2022")
"""Whose ways a benchmark can be asked to follow where they change the timing: `v1` is TorchBench V1 with its mistakes,
`dynamo` the TorchDynamo benchmark harness, whose loss is the mean of the outputs unless the model has its own, and
`dynamo-2022` that harness as it was at first, with cross entropy for the suite `timm`.
"""


@dataclass(frozen=True)
class Request:
    """What a benchmark function is asked to build: one test type on one device in one size.

    `wanted_iterations` is the number of train steps in one timed call where the user asks for another than the size's;
    `compat` names the system whose ways are wanted where they change the timing (see `COMPATIBILITIES`), or is None for
    the sane behaviour. `updates` says whether a train step ends with the optimizer's step.
    """

    type: str
    device: str
    size: Mapping[str, Any]
    seed: int = 1337
    wanted_iterations: int | None = None
    compat: str | None = None
    updates: bool = True

    @property
    def training(self) -> bool:
        """Whether the step is a train step."""
        return self.type == "train"

    @property
    def batch(self) -> int:
        """Items in one step: `train_batch` of the size when training and where given, else `batch`, else 1."""
        if self.training and "train_batch" in self.size:
            return int(self.size["train_batch"])
        return int(self.size.get("batch", 1))

    @property
    def iterations(self) -> int:
        """Train steps in one timed call: what the user wants, else `iterations` of the size, else 1; eval does one."""
        if not self.training:
            return 1
        return int(self.wanted_iterations or self.size.get("iterations", 1))

    @property
    def v1(self) -> bool:
        """Whether the mistakes of TorchBench V1 are wanted."""
        return self.compat == "v1"


def request_of(order: Mapping[str, Any]) -> Request:
    """The request that a worker's order holds (see `harness.worker.serve`)."""
    return Request(
        order["type"],
        str(order["device"]),
        order["size"],
        int(order["seed"]),
        order.get("iterations"),
        order.get("compat"),
        order.get("updates", True),
    )


@dataclass
class Workload:
    """A built benchmark, ready to be prepared for a lane.

    `model(*inputs, **keywords)` is the forward pass. For training, `loss(output)` gives a scalar tensor and
    `optimizer` updates the parameters; with `clears_gradients` false they accumulate from step to step; `own_loss` says
    that the loss is one the model itself returns. A benchmark
    whose step has another shape (several networks, an inner loop) gives `step`, called as `step(workload, clock)` with
    the lane's (possibly compiled) model in `workload.model`; it calls `clock.mark(phase)` after each phase and returns
    what is to be checked for finiteness. `step` decides on inference mode or gradients itself. `items` is how many
    items one iteration processes.

    `model` may be a dict of networks, all of which the lane compiles; `step` is needed then, and for `jit` by tracing
    `examples`, the positional inputs of each network by its name. `script` asks `jit` to script rather than to trace.
    `labels` say what the items are, where people can make something of them: sentences, names of pictures.
    """

    model: Any
    inputs: tuple[Any, ...]
    items: int
    keywords: dict[str, Any] = field(default_factory=dict)
    loss: Callable[[Any], Any] | None = None
    optimizer: Any = None
    step: Callable[[Workload, Any], Any] | None = None
    clears_gradients: bool = True
    own_loss: bool = False
    examples: dict[str, tuple[Any, ...]] = field(default_factory=dict)
    script: bool = False
    labels: tuple[str, ...] = ()

    def networks(self) -> list[Any]:
        """The networks of the workload, those of a dict in its order."""
        return list(self.model.values()) if isinstance(self.model, dict) else [self.model]


Build = Callable[[Request], Workload]


@dataclass(frozen=True)
class Description:
    """All that can be known of a benchmark without building it.

    `sizes` maps a size's name to its numbers; `unsupported` maps what cannot be done to the reason, its keys being
    facets joined by hyphens ("train", "cuda-train", "jit", "eval-jit"); `needs` names the packages the nursery
    preloads. `parameters` is the number of parameters by size, all networks together, those that share a tensor
    counted once; `nondeterministic` says why two launches on a CPU may differ, and is empty where they agree bitwise.
    `tolerances` are those of the accuracy check, by type, where the suite's will not do.
    `lists` names the published lists that hold the model (see `LISTS`), of a suite that follows such lists.
    `packages` are those that a build must have installed beside what its suite always needs; `answers` is the kind of
    what the model answers (see `ANSWERS`) and `weights` where its weights come from (see `WEIGHTS`).
    """

    name: str
    suite: str
    category: str
    domain: str
    sizes: Mapping[str, Mapping[str, Any]]
    types: tuple[str, ...] = TYPES
    devices: tuple[str, ...] = DEVICES
    unsupported: Mapping[str, str] = field(default_factory=dict)
    needs: tuple[str, ...] = ()
    summary: str = ""
    parameters: Mapping[str, int] = field(default_factory=dict)
    nondeterministic: str = ""
    tolerances: Mapping[str, float] = field(default_factory=dict)
    lists: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    answers: str = ""
    weights: str = "random"

    def why_not(self, type: str, device: str, mode: str) -> str | None:
        """The reason why this benchmark cannot run in this type, device and mode; None when it can."""
        if type not in self.types:
            return self.unsupported.get(type, f"{self.name} has no {type} step")
        if device not in self.devices:
            return self.unsupported.get(device, f"{self.name} does not run on {device}")
        facets = {type, device, mode}
        for key, reason in self.unsupported.items():
            if set(key.split("-")) <= facets:
                return reason
        return None


@dataclass(frozen=True)
class Benchmark:
    """A description together with the function that builds the workload."""

    description: Description
    build: Build


_REGISTRY: dict[str, dict[str, Benchmark]] = {}
_files_loading: list[str] = []
"""Names of the users' suites whose files are being imported, innermost last."""


def benchmark(
    name: str,
    *,
    category: str,
    domain: str,
    sizes: Mapping[str, Mapping[str, Any]],
    types: Sequence[str] = TYPES,
    devices: Sequence[str] = DEVICES,
    unsupported: Mapping[str, str] | None = None,
    needs: Sequence[str] = (),
    parameters: int | Mapping[str, int] | None = None,
    nondeterministic: str = "",
    tolerances: Mapping[str, float] | None = None,
    lists: Sequence[str] = (),
    packages: Sequence[str] = (),
    answers: str = "",
    weights: str = "random",
) -> Callable[[Build], Build]:
    """Register the decorated function as the benchmark `name` of the suite its module belongs to.

    The rest is as in `Description`; `parameters` may be one number for all sizes. Raises ValueError when the
    description is not sound or the suite already has the name, so that a mistake in a suite shows at import and not in
    the middle of a run.
    """
    if not sizes:
        raise ValueError(f"benchmark {name}: give at least one size")
    if not name or any(character in name for character in "[]\n\t /"):
        raise ValueError(f"benchmark {name!r}: a name holds no brackets, slashes or spaces")
    for given, known, word in (
        (types, TYPES, "type"),
        (devices, DEVICES, "device"),
        (lists, tuple(LISTS), "list"),
        ((answers,), tuple(ANSWERS), "kind of answers"),
        ((weights,), tuple(WEIGHTS), "kind of weights"),
    ):
        for value in given:
            if value not in known:
                raise ValueError(f"benchmark {name}: unknown {word} {value!r}; known are {', '.join(known)}")

    counts = dict.fromkeys(sizes, parameters) if isinstance(parameters, int) else dict(parameters or {})
    if strange := counts.keys() - sizes.keys():
        raise ValueError(f"benchmark {name}: parameters of unknown sizes {', '.join(sorted(strange))}")

    def register(build: Build) -> Build:
        suite = _files_loading[-1] if _files_loading else _suite_of(build.__module__)
        entries = _REGISTRY.setdefault(suite, {})
        if name in entries:
            raise ValueError(f"suite {suite} has two benchmarks named {name}")
        entries[name] = Benchmark(
            Description(
                name=name,
                suite=suite,
                category=category,
                domain=domain,
                sizes={key: dict(value) for key, value in sizes.items()},
                types=tuple(types),
                devices=tuple(devices),
                unsupported=dict(unsupported or {}),
                needs=tuple(needs),
                summary=(build.__doc__ or "").strip().partition("\n")[0],
                parameters=counts,
                nondeterministic=nondeterministic,
                tolerances=dict(tolerances or {}),
                lists=tuple(lists),
                packages=tuple(packages),
                answers=answers,
                weights=weights,
            ),
            build,
        )
        return build

    return register


def _suite_of(module: str) -> str:
    parts = module.split(".")
    return parts[2] if parts[:2] == ["harness", "suites"] and len(parts) > 2 else parts[-1]


def is_file(suite: str) -> bool:
    """Whether a suite is named by the path of a user's own file rather than by a built-in name."""
    return suite.endswith(".py")


def suite_name(suite: str) -> str:
    """The name under which a suite's benchmarks are registered: a built-in name, or a file's stem."""
    return pathlib.Path(suite).stem if is_file(suite) else suite


def load(suite: str) -> dict[str, Benchmark]:
    """Import a suite, by built-in name or by the path of a file, and return its benchmarks by name.

    Raises LookupError for an unknown built-in suite or one without a benchmark, and whatever the file itself raises
    while it is imported; a suite that failed halfway is not kept.
    """
    name = suite_name(suite)
    if name not in _REGISTRY:
        try:
            if is_file(suite):
                _import_file(pathlib.Path(suite).resolve(), name)
            elif suite in BUILTIN_SUITES:
                importlib.import_module(f"harness.suites.{suite}")
            else:
                raise LookupError(f"there is no suite named {suite}")
        except BaseException:
            _REGISTRY.pop(name, None)
            raise
    if name not in _REGISTRY:
        raise LookupError(f"the suite {suite} registers no benchmark")
    return _REGISTRY[name]


def _import_file(path: pathlib.Path, name: str) -> None:
    # A module name of its own: a user's `torch.py` must not stand in for torch.
    module_name = f"torchwarden_suite_{name}"
    spec = importlib.util.spec_from_file_location(module_name, path)
    if spec is None or spec.loader is None:
        raise LookupError(f"{path} is not a Python file")
    # Last on the path: a suite may import its neighbours, but must not shadow the build under test.
    sys.path.append(str(path.parent))
    module = importlib.util.module_from_spec(spec)
    sys.modules[module_name] = module
    _files_loading.append(name)
    try:
        spec.loader.exec_module(module)
    finally:
        _files_loading.pop()


def describe(suites: Iterable[str]) -> list[Description]:
    """Descriptions of all benchmarks of some suites, in order of registration."""
    return [entry.description for suite in suites for entry in load(suite).values()]


def main(arguments: Sequence[str]) -> None:
    """Write the descriptions of the suites named in the arguments to standard output as JSON.

    For suites in users' files, which may import torch: the coordinator runs this in the build's own interpreter. What
    the files themselves print goes to standard error.
    """
    with contextlib.redirect_stdout(sys.stderr):
        found = [dataclasses.asdict(description) for description in describe(arguments)]
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    # Import under the real name: suites register with `harness.benchmark`, not with `__main__`.
    importlib.import_module("harness.benchmark").main(sys.argv[1:])
