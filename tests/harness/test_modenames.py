import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.modenames import PRECISIONS, baseline, join_mode, split_mode


@pytest.mark.parametrize(
    ("mode", "backend", "precision", "against"),
    [
        ("eager", "eager", "float32", "eager"),
        ("eager_bf16", "eager", "bf16", "eager"),
        ("inductor", "inductor", "float32", "eager"),
        ("inductor_amp", "inductor", "amp", "eager_amp"),
        ("inductor_amp_fp16", "inductor", "amp_fp16", "eager_amp_fp16"),
        ("inductor_max_autotune", "inductor_max_autotune", "float32", "eager"),
        ("inductor_dynamic_fp16", "inductor_dynamic", "fp16", "eager_fp16"),
        ("mine.backends:fast_tf32", "mine.backends:fast", "tf32", "eager_tf32"),
        ("bf16", "bf16", "float32", "eager"),
        ("_bf16", "_bf16", "float32", "eager"),
    ],
)
def test_a_mode_is_a_backend_and_a_precision(mode, backend, precision, against):
    assert split_mode(mode) == (backend, precision)
    assert join_mode(backend, precision) == mode
    assert baseline(mode) == against


@pytest.mark.parametrize("precision", PRECISIONS)
def test_what_is_joined_can_be_split(precision):
    assert split_mode(join_mode("inductor", precision)) == ("inductor", precision)


@given(st.text("abmp_fd16", min_size=1), st.sampled_from(sorted(PRECISIONS)))
def test_parts_join_to_the_name_they_came_from(backend, precision):
    mode = join_mode(backend, precision)
    assert join_mode(*split_mode(mode)) == mode
