"""Lanes: a mode (how a step is compiled) on a build (which interpreter and libraries).

`MODES` is the table of backends: a new one is one entry. `mode_of` adds precisions and users' own backends. The half of
this module that prepares a step runs inside workers of foreign builds, so it needs the standard library and torch only.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from harness import layouts
from harness.benchmark import DEVICES, TYPES, Request, Workload
from harness.modenames import FLOAT32, PRECISIONS, split_mode
from harness.precision import cast, wrap


@dataclass(frozen=True)
class Mode:
    """A way to run a step: a backend, in a precision of `modenames.PRECISIONS`.

    `prepare` turns a freshly built workload into the one that is timed. `environment` must be set before torch is
    loaded, so lanes that differ in it get nurseries of their own. `compiles` says that preparing or the first step
    hold a compilation, which is timed apart; `needs` names the modules that compiling imports, for nurseries to
    preload, and `packages` those that a build must have installed. `types` and `devices` are what it can do.
    """

    name: str
    summary: str
    prepare: Callable[[Workload, Request], Workload]
    environment: Mapping[str, str] = field(default_factory=dict)
    compiles: bool = False
    needs: tuple[str, ...] = ()
    packages: tuple[str, ...] = ()
    types: tuple[str, ...] = TYPES
    devices: tuple[str, ...] = DEVICES

    def why_not(self, type: str, device: str) -> str | None:
        """The reason why no benchmark can run in this mode in a type and on a device; None where it can be tried."""
        if type not in self.types:
            return f"the mode {self.name} has no {type} step"
        if device not in self.devices:
            return f"the mode {self.name} needs a device of {', '.join(self.devices)}"
        return None


@dataclass(frozen=True, order=True)
class Lane:
    """One mode on one build; written `mode@build`."""

    mode: str
    build: str

    def __str__(self) -> str:
        return f"{self.mode}@{self.build}"


def _eager(workload: Workload, request: Request) -> Workload:
    return workload


def _compiled(workload: Workload, compile: Callable[[Any, str | None], Any]) -> Workload:
    """The workload with `compile(network, name)` of its model, or of each network by its name."""
    if isinstance(workload.model, dict):
        return dataclasses.replace(
            workload, model={name: compile(network, name) for name, network in workload.model.items()}
        )
    return dataclasses.replace(workload, model=compile(workload.model, None))


def _dynamo(**options: Any) -> Callable[[Workload, Request], Workload]:
    """A preparation by `torch.compile` with these options."""

    def prepare(workload: Workload, request: Request) -> Workload:
        import torch

        return _compiled(workload, lambda network, _: torch.compile(network, **options))

    return prepare


def _dynamic_batch(workload: Workload, request: Request) -> Workload:
    """Inductor, told that the first dimension of the inputs may change where it is the batch."""
    import torch

    for value in torch.utils._pytree.tree_leaves((workload.inputs, workload.keywords, workload.examples)):
        # A dimension of one is taken for a constant whatever is said of it.
        if isinstance(value, torch.Tensor) and value.dim() and value.size(0) == request.batch > 1:
            torch._dynamo.maybe_mark_dynamic(value, 0)
    return _dynamo(backend="inductor")(workload, request)


def _aot_inductor(workload: Workload, request: Request) -> Workload:
    """Exported, compiled ahead of time into a shared library, and loaded back."""
    import torch

    def compile(network: Any, name: str | None) -> Any:
        network.eval()
        inputs = workload.inputs if name is None else workload.examples[name]
        with torch.no_grad():
            exported = torch.export.export(network, inputs, workload.keywords if name is None else {}, strict=False)
            with tempfile.TemporaryDirectory() as folder:
                package = torch._inductor.aoti_compile_and_package(exported, package_path=f"{folder}/model.pt2")
                return torch._inductor.aoti_load_package(package)

    return _compiled(workload, compile)


def _jit(workload: Workload, request: Request) -> Workload:
    import torch

    def compile(network: Any, name: str | None) -> Any:
        if not request.training:
            network.eval()
        if workload.script:
            compiled = torch.jit.script(network)
        else:
            inputs = workload.inputs if name is None else workload.examples[name]
            # Tracing takes positional or keyword examples, not both.
            named = workload.keywords if name is None else {}
            examples = {"example_kwarg_inputs": named} if named else {"example_inputs": inputs}
            compiled = torch.jit.trace(network, check_trace=False, **examples)
        return compiled if request.training else torch.jit.optimize_for_inference(torch.jit.freeze(compiled))

    return _compiled(workload, compile)


_DYNAMO = ("torch._dynamo",)
_INDUCTOR = ("torch._dynamo", "torch._inductor.compile_fx")
_EVAL, _CPU, _CUDA = ("eval",), ("cpu",), ("cuda",)

MODES: dict[str, Mode] = {
    mode.name: mode
    for mode in (
        Mode("eager", "PyTorch as it is", _eager),
        Mode("channels_last", "eager, images with the channels of a pixel side by side", layouts.channels_last),
        Mode(
            "mkldnn",
            "eager, inputs in mkldnn layout, weights reordered in every step",
            layouts.mkldnn,
            types=_EVAL,
            devices=_CPU,
        ),
        Mode(
            "mkldnn_cached",
            "TorchScript, inputs in mkldnn layout, weights reordered once",
            layouts.mkldnn_cached,
            compiles=True,
            types=_EVAL,
            devices=_CPU,
        ),
        Mode(
            # Not `..._bf16`: that suffix is the precision in which tensors are cast.
            "eager_bf16_math",
            "eager in float32, whose products may be computed in bfloat16",
            layouts.bf16_math,
            environment=layouts.FAST_MATH,
            devices=_CPU,
        ),
        Mode(
            "inductor",
            "torch.compile with its default backend",
            _dynamo(backend="inductor"),
            compiles=True,
            needs=_INDUCTOR,
        ),
        Mode("jit", "TorchScript: traced or scripted, frozen and optimised for eval", _jit, compiles=True),
        Mode(
            "aot_eager",
            "captured by Dynamo and AOTAutograd, run by eager's kernels",
            _dynamo(backend="aot_eager"),
            compiles=True,
            needs=_DYNAMO,
        ),
        Mode(
            "inductor_cudagraphs",
            "Inductor, its kernels launched from CUDA graphs",
            _dynamo(backend="inductor", options={"triton.cudagraphs": True}),
            compiles=True,
            needs=_INDUCTOR,
            devices=_CUDA,
        ),
        Mode("inductor_dynamic", "Inductor for any batch size", _dynamic_batch, compiles=True, needs=_INDUCTOR),
        Mode(
            "inductor_max_autotune",
            "Inductor, choosing kernels by timing them",
            _dynamo(backend="inductor", mode="max-autotune-no-cudagraphs"),
            compiles=True,
            needs=_INDUCTOR,
        ),
        Mode(
            "inductor_freezing",
            "Inductor, parameters taken as constants",
            _dynamo(backend="inductor", options={"freezing": True}),
            compiles=True,
            needs=_INDUCTOR,
            types=_EVAL,
        ),
        Mode(
            "inductor_cpp_wrapper",
            "Inductor, its kernels called from C++",
            _dynamo(backend="inductor", options={"cpp_wrapper": True}),
            compiles=True,
            needs=_INDUCTOR,
        ),
        Mode(
            "aot_inductor",
            "exported and compiled ahead of time by Inductor",
            _aot_inductor,
            compiles=True,
            needs=(*_INDUCTOR, "torch.export"),
            types=_EVAL,
        ),
        Mode(
            "cudagraphs",
            "eager's kernels, launched from CUDA graphs",
            _dynamo(backend="cudagraphs"),
            compiles=True,
            needs=_DYNAMO,
            devices=_CUDA,
        ),
        Mode(
            "onnxrt",
            "ONNX Runtime, by way of torch.compile",
            _dynamo(backend="onnxrt"),
            compiles=True,
            needs=_DYNAMO,
            packages=("onnxruntime", "onnxscript"),
            types=_EVAL,
        ),
        Mode(
            "tensorrt",
            "TensorRT, by way of torch.compile",
            _dynamo(backend="tensorrt"),
            compiles=True,
            needs=("torch._dynamo", "torch_tensorrt"),
            packages=("torch_tensorrt",),
            types=_EVAL,
            devices=_CUDA,
        ),
    )
}
"""The built-in modes: a backend each, in float32.

A user's own backend is named as a mode by `module:function`, a callable as torch.compile takes it, or by `entry:NAME`,
one that its package registers with torch (entry point `torch_dynamo_backends`).
"""

ENTRY_POINT = "entry"


@functools.cache
def mode_of(name: str) -> Mode:
    """The mode of a name: a backend of `MODES` or a user's, with the suffix of a precision where it has one.

    Raises LookupError for a name that stands for nothing. Whether a user's backend is there shows in the build.
    """
    backend, precision = split_mode(name)
    module, colon, function = backend.rpartition(":")
    if backend in MODES:
        found = MODES[backend]
    elif colon and all(part.isidentifier() for part in (*module.split("."), function)):
        found = Mode(backend, "a backend of the user's", _users(module, function), compiles=True, needs=_DYNAMO)
    else:
        raise LookupError(f"there is no mode {name}")
    if precision == FLOAT32:
        return found

    def prepare(workload: Workload, request: Request) -> Workload:
        return wrap(found.prepare(cast(workload, precision), request), precision, request.device)

    return dataclasses.replace(found, name=name, summary=f"{found.summary}; {PRECISIONS[precision]}", prepare=prepare)


def is_users(name: str) -> bool:
    """Whether a mode is a user's own backend, to be imported by the build."""
    return ":" in name


def _users(module: str, function: str) -> Callable[[Workload, Request], Workload]:
    def prepare(workload: Workload, request: Request) -> Workload:
        backend = function if module == ENTRY_POINT else getattr(importlib.import_module(module), function)
        return _dynamo(backend=backend)(workload, request)

    return prepare


def step_of(workload: Workload, request: Request) -> Callable[[Any], Any]:
    """The function that does one timed call of a prepared workload: called with a clock, it returns what to check.

    It repeats one iteration `request.iterations` times. An iteration of a train step is zero_grad, forward and loss,
    backward, update, with those phases marked; of an eval step the forward pass under inference mode.
    """
    once = _iteration(workload, request)
    if request.iterations == 1:
        return once

    def repeated(clock: Any) -> Any:
        for _ in range(request.iterations - 1):
            once(clock)
        return once(clock)

    return repeated


def infers(workload: Workload, request: Request) -> bool:
    """Whether an iteration is the forward pass under inference mode, which a process may enter once for all of them."""
    return workload.step is None and not request.training


def _iteration(workload: Workload, request: Request) -> Callable[[Any], Any]:
    if workload.step is not None:
        step = workload.step
        return lambda clock: step(workload, clock)
    model, inputs, keywords = workload.model, workload.inputs, workload.keywords
    if isinstance(model, dict):
        raise ValueError("a workload of several networks needs a step of its own")
    if infers(workload, request):
        import torch

        def evaluate(clock: Any) -> Any:
            # Entering it costs 13 µs, 1.7 % of a step of 0.9 ms: who times steps enters it once around all of them.
            if torch.is_inference_mode_enabled():
                return model(*inputs, **keywords)
            with torch.inference_mode():
                return model(*inputs, **keywords)

        return evaluate
    loss, optimizer, clears = workload.loss, workload.optimizer, workload.clears_gradients
    if request.compat == "dynamo":
        loss = workload.loss if workload.own_loss else mean_of_outputs
    updates = request.updates
    if loss is None or optimizer is None:
        raise ValueError("a train step needs a loss and an optimizer, or a step of its own")

    def train(clock: Any) -> Any:
        if clears:
            optimizer.zero_grad(set_to_none=True)
        value = loss(model(*inputs, **keywords))
        clock.mark("forward")
        value.backward()
        clock.mark("backward")
        if updates:
            optimizer.step()
            clock.mark("update")
        return value

    return train


def mean_of_outputs(output: Any) -> Any:
    """The loss of the TorchDynamo benchmark harness for models that bring none: the mean of every tensor in the output,
    and the mean of these means through tuples, lists and mappings.
    """
    import torch

    if isinstance(output, torch.Tensor):
        return output.mean()
    values = output.values() if isinstance(output, Mapping) else output
    return torch.stack([mean_of_outputs(value) for value in values if value is not None]).mean()
