"""A mode's name has one reading."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.modenames import FLOAT32, PRECISIONS, join_mode, split_mode


@pytest.mark.parametrize(
    ("mode", "parts"),
    [
        ("eager", ("eager", "float32")),
        ("eager_bf16", ("eager", "bf16")),
        ("inductor_max_autotune", ("inductor_max_autotune", "float32")),
        ("inductor_max_autotune_fp16", ("inductor_max_autotune", "fp16")),
        ("inductor_amp", ("inductor", "amp")),
        ("inductor_amp_fp16", ("inductor", "amp_fp16")),
        ("bf16", ("bf16", "float32")),
        ("_bf16", ("_bf16", "float32")),
    ],
)
def test_modes(mode: str, parts: tuple[str, str]) -> None:
    assert split_mode(mode) == parts
    assert join_mode(*parts) == mode


@given(st.text("abmp_fd16", min_size=1), st.sampled_from((FLOAT32, *PRECISIONS)))
def test_parts_join_to_the_name_they_came_from(backend: str, precision: str) -> None:
    mode = join_mode(backend, precision)
    assert join_mode(*split_mode(mode)) == mode
