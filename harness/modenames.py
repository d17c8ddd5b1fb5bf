"""The name of a mode in its two parts: which backend runs the step, and in which precision.

Promises one reading of names such as `inductor_bf16` for whoever has to tell the parts apart. Standard library only,
so that workers of foreign builds may use it.
"""

from __future__ import annotations

FLOAT32 = "float32"
"""The precision of a mode whose name ends in none of `PRECISIONS`."""

PRECISIONS = ("amp_fp16", "amp", "bf16", "fp16")
"""What a mode's name may end in, behind an underscore; a suffix of another one stands behind it."""


def split_mode(mode: str) -> tuple[str, str]:
    """Backend and precision of a mode: `inductor_bf16` is ("inductor", "bf16"), `eager` is ("eager", "float32")."""
    for precision in PRECISIONS:
        backend = mode.removesuffix(f"_{precision}")
        if backend and backend != mode:
            return backend, precision
    return mode, FLOAT32


def join_mode(backend: str, precision: str) -> str:
    """The name of the mode that `split_mode` takes apart."""
    return backend if precision == FLOAT32 else f"{backend}_{precision}"
