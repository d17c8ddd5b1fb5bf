from __future__ import annotations

import pytest

from bot.owners import Rule, matches, of

RESNET, TRAIN = "test_eval[resnet50-cpu-eager]", "test_train[dcgan-cuda-inductor]"


@pytest.mark.parametrize(
    ("pattern", "test", "suite", "matched"),
    [
        ("*", RESNET, "", True),
        ("resnet*", RESNET, "timm", True),
        ("resnet50", RESNET, "", True),
        ("resnet5", RESNET, "", False),
        ("resnet5?", RESNET, "", True),
        ("esnet50", RESNET, "", False),
        ("timm/", RESNET, "timm", True),
        ("timm/", RESNET, "torchbench", False),
        ("timm/", RESNET, "", False),
        ("t*/resnet*", RESNET, "timm", True),
        ("timm/dcgan", RESNET, "timm", False),
        ("test_train[*]", TRAIN, "", True),
        ("test_train[*]", RESNET, "", False),
        ("*-cuda-*", TRAIN, "", True),
        (RESNET, RESNET, "", True),
        ("test_eval[r]*", RESNET, "", False),
        ("resnet50", "test_eval[resnet50-freeze-cpu-jit]", "", True),
        ("r.snet50", RESNET, "", False),
    ],
)
def test_a_pattern_matches_as_the_table_says(pattern: str, test: str, suite: str, matched: bool) -> None:
    assert matches(pattern, test, suite) == matched


def test_the_last_match_counts() -> None:
    rules = (Rule("*", ("@all",)), Rule("timm/", ("@vision", "@org/vision")), Rule("dcgan", ()))
    assert of(rules, RESNET) == ("@all",)
    assert of(rules, RESNET, "timm") == ("@vision", "@org/vision")
    assert of(rules, TRAIN, "timm") == ()
    assert of((), RESNET) == ()
    assert of(tuple(reversed(rules)), TRAIN, "timm") == ("@all",)
