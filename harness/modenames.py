"""How the name of a mode is read: a backend, and the precision its steps run in.

`inductor` runs as the benchmark is built, in float32; `inductor_bf16` is the same backend on bfloat16. Promises that
harness, bot and formats read a name alike. Runs inside foreign builds: standard library only.
"""

from __future__ import annotations

PRECISIONS = {
    "float32": "as the benchmark is built",
    "tf32": "float32, whose products may be rounded to TF32 on a GPU that can",
    "bf16": "model and inputs cast to bfloat16",
    "fp16": "model and inputs cast to float16",
    "amp": "autocast to bfloat16 on a CPU, to float16 on a GPU",
    "amp_bf16": "autocast to bfloat16",
    "amp_fp16": "autocast to float16",
}
"""Precisions by the suffix they have in the name of a mode, with what they mean; `float32` is written as none."""

FLOAT32 = "float32"
EAGER = "eager"

_SUFFIXES = sorted(PRECISIONS.keys() - {FLOAT32}, key=len, reverse=True)


def split_mode(mode: str) -> tuple[str, str]:
    """Backend and precision of a mode: `("inductor", "bf16")` for `inductor_bf16`."""
    for suffix in _SUFFIXES:
        if mode.endswith(f"_{suffix}") and len(mode) > len(suffix) + 1:
            return mode[: -len(suffix) - 1], suffix
    return mode, FLOAT32


def join_mode(backend: str, precision: str) -> str:
    """The name of a mode: what `split_mode` takes apart."""
    return backend if precision == FLOAT32 else f"{backend}_{precision}"


def baseline(mode: str) -> str:
    """The mode that a mode's speed is compared with in one build: eager in its precision, and `eager` for that."""
    backend, precision = split_mode(mode)
    return EAGER if backend == EAGER else join_mode(EAGER, precision)
