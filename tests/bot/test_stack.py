"""Two builds are taken apart into torch and what lies around it."""

from __future__ import annotations

import msgspec
import pytest

from bot import stack
from harness.errors import UserError
from tests.synthetic import BASE, HEAD

BEFORE = {"torch": "2.13.0+cpu", "torchvision": "0.28.0", "numpy": "2.2.0", "nvidia-cublas-cu12": "12.1", "pip": "25"}
AFTER = {"torch": "2.14.1+cpu", "torchvision": "0.29.1", "numpy": "2.3.0", "Typing_Extensions": "4.1", "pip": "26"}


def build(packages: dict[str, str], **fields: object):
    return msgspec.structs.replace(BASE, packages=packages, **fields)


def test_parts() -> None:
    found = stack.parts(build(BEFORE), build(AFTER))
    assert found.torch == {
        "nvidia-cublas-cu12": ("12.1", None),
        "torch": ("2.13.0+cpu", "2.14.1+cpu"),
        "torchvision": ("0.28.0", "0.29.1"),
    }
    assert found.others == {"numpy": ("2.2.0", "2.3.0"), "typing-extensions": (None, "4.1")}
    assert not found.environment
    assert stack.parts(BASE, msgspec.structs.replace(HEAD, environment={"A": "1"})).environment


def test_a_mixed_build_has_the_torch_of_the_head_and_the_rest_of_the_base() -> None:
    assert stack.mixed(build(BEFORE), build(AFTER)) == "torch==2.14.1 torchvision==0.29.1 numpy==2.2.0"


@pytest.mark.parametrize(
    ("before", "after", "said"),
    [
        ({"torch": "1", "numpy": "1"}, {"torch": "2", "numpy": "1"}, "only in torch"),
        ({"torch": "1", "numpy": "1"}, {"torch": "1", "numpy": "2"}, "only in packages beside torch"),
        ({"torch": "1"}, {"torch": "1"}, "in no package"),
    ],
)
def test_there_may_be_nothing_to_take_apart(before: dict[str, str], after: dict[str, str], said: str) -> None:
    with pytest.raises(UserError, match=said):
        stack.mixed(build(before), build(after))


def test_pythons_cannot_be_mixed() -> None:
    with pytest.raises(UserError, match="different Pythons"):
        stack.mixed(build(BEFORE), build(AFTER, python_version="3.13.1"))
