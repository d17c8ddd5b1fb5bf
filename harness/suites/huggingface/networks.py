"""Networks of transformers, from configurations and never from the hub, and the steps of the TorchDynamo benchmark."""

from __future__ import annotations

import copy
import functools
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import torch
from transformers import GenerationMixin

from harness.benchmark import Request, Workload

OF_THE_STEP = ("batch", "train_batch", "iterations", "sequence", "tokens", "new_tokens")
"""Keys of a size that are no numbers of the configuration."""

# What the TorchDynamo benchmark sets: dropout then costs its time but changes nothing.
_DROPOUT = 1e-30


def network(module: str, configuration: str, name: str, size: Mapping[str, Any], *, caches: bool) -> Any:
    """The network `name` of a module of transformers, of the configuration that a size's numbers give.

    Dropout is as good as off. With `caches` it keeps keys and values from token to token.
    """
    package = f"transformers.models.{module}"
    described = getattr(importlib.import_module(f"{package}.configuration_{module}"), configuration)(
        **{key: value for key, value in size.items() if key not in OF_THE_STEP}
    )
    for key, value in vars(described).items():
        if "drop" in key and isinstance(value, float):
            setattr(described, key, _DROPOUT)
    if hasattr(described, "use_cache"):
        described.use_cache = caches
    return getattr(importlib.import_module(f"{package}.modeling_{module}"), name)(described)


def language_model(
    build: Callable[..., Any], request: Request, task: str, *, echoes: bool, descends: bool, reckons: bool
) -> Workload:
    """A network that reads random tokens [batch, sequence] and computes its own loss, in evaluation too.

    `task` says what the loss wants (see `TASKS`); where it `echoes`, the decoder is given the encoder's tokens. Tokens
    are below `tokens` of the size, or anything of the vocabulary. Trained by Adam, or by SGD where it `descends`,
    lr 0.01. `reckons` says that its forward pass computes with arrays of numpy, which torch.compile refuses under
    inference mode: it is evaluated under `no_grad`. An item is a sequence.
    """
    size = request.size
    torch.manual_seed(request.seed)
    model = build(size, caches=False).to(request.device).train(request.training)

    def integers(below: int, *shape: int) -> torch.Tensor:
        return torch.randint(below, shape).to(request.device)

    vocabulary = model.config.vocab_size
    tokens = integers(size.get("tokens", vocabulary), request.batch, size["sequence"])
    keywords = {"input_ids": tokens}
    if echoes:
        keywords["decoder_input_ids"] = tokens
    keywords |= TASKS[task](model.config, request, integers)
    workload = Workload(model=model, inputs=(), items=request.batch, keywords=keywords)
    if not request.training:
        if reckons:
            workload.step = _evaluate_without_gradients
        return workload
    workload.loss, workload.own_loss = _own_loss, True
    if descends:
        workload.optimizer = torch.optim.SGD(model.parameters(), lr=0.01, foreach=True)
    else:
        capturable = request.device == "cuda"
        workload.optimizer = torch.optim.Adam(model.parameters(), lr=0.01, foreach=True, capturable=capturable)
    return workload


def _labels(configuration: Any, request: Request, integers: Callable[..., Any]) -> dict[str, Any]:
    return {"labels": integers(configuration.vocab_size, request.batch, request.size["sequence"])}


def _answers(configuration: Any, request: Request, integers: Callable[..., Any]) -> dict[str, Any]:
    return {key: integers(request.size["sequence"], request.batch) for key in ("start_positions", "end_positions")}


def _classes(configuration: Any, request: Request, integers: Callable[..., Any]) -> dict[str, Any]:
    return {"labels": integers(configuration.num_labels, request.batch)}


TASKS: Mapping[str, Callable[..., dict[str, Any]]] = {"tokens": _labels, "answers": _answers, "classes": _classes}
"""What a loss is computed from: a label for every token, where an answer begins and ends, a class of the sequence."""


def generator(build: Callable[..., Any], request: Request, inputs: str) -> Workload:
    """A network that generates `new_tokens` of the size, one at a time and greedily, from random `inputs`.

    `input_ids` are a prompt of `sequence` tokens; `input_features` are spectra of sounds as long as the network hears.
    No token ends a text early. Keys and values are kept in a cache of fixed length, as in the TorchDynamo benchmark.
    What a lane compiles is the network's forward pass, which transformers' loop calls. An item is a new token.
    """
    size = request.size
    torch.manual_seed(request.seed)
    model = build(size, caches=True).to(request.device).eval()
    configuration = model.config.get_text_config()
    shape = (
        (request.batch, size["sequence"])
        if inputs == "input_ids"
        else (request.batch, configuration.num_mel_bins, 2 * configuration.max_source_positions)
    )
    drawn = torch.randint(configuration.vocab_size, shape) if inputs == "input_ids" else torch.randn(shape)
    settings = model.generation_config
    settings.eos_token_id, settings.pad_token_id = None, 0
    settings.do_sample, settings.use_cache, settings.cache_implementation = False, True, "static"
    settings.max_new_tokens, settings.max_length = size["new_tokens"], None
    # On a GPU transformers would compile the forward pass by itself, in the lane `eager` too.
    settings.disable_compile = True
    return Workload(
        model=model,
        inputs=(),
        items=request.batch * size["new_tokens"],
        keywords={inputs: drawn.to(request.device)},
        step=_Generation(model),
    )


class _Generation:
    """The step that generates: the loop of transformers around the forward pass that the lane has prepared.

    A compiled network has the methods of the one inside it, whose loop would call the uncompiled forward pass. So the
    loop runs on a copy, which shares all tensors and whose forward pass is the lane's.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self.prepared: Any = None
        self.loop: Any = None

    def __call__(self, workload: Workload, clock: Any) -> Any:
        if self.prepared is not workload.model:
            self.prepared = workload.model
            self.loop = copy.copy(self.model)
            # The loop reads from the signature which arguments it may give.
            self.loop.forward = functools.wraps(self.model.forward)(functools.partial(_call, workload.model))
        # Not the network's own: Whisper's wants a tokenizer's settings and may generate several times.
        return GenerationMixin.generate(self.loop, **workload.keywords)


def _call(model: Any, *arguments: Any, **keywords: Any) -> Any:
    return model(*arguments, **keywords)


def _evaluate_without_gradients(workload: Workload, clock: Any) -> Any:
    with torch.no_grad():
        return workload.model(**workload.keywords)


def _own_loss(output: Any) -> Any:
    return output[0]
