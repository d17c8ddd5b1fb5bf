from __future__ import annotations

import struct
import zlib

import numpy as np

from bot import answers
from bot.answers import Box, Validation
from bot.report import answers as report
from tests.bot.profiles import BUILD, MACHINE
from tests.bot.test_answers import pair


def _validation(*models: answers.Model, mode: str = "eager_bf16") -> Validation:
    return Validation(
        tool_version="0",
        started="2026-01-02T03:04:05+00:00",
        command="torchwarden validate",
        machine=MACHINE,
        build=BUILD,
        suite="mine",
        size="small",
        device="cpu",
        against="eager",
        mode=mode,
        models=models,
    )


def _vectors(weights: str = "trained", label: str = "a") -> answers.Model:
    base = np.eye(4) + 0.1 * np.arange(16).reshape(4, 4)
    tensors = {"embeddings": base}, {"embeddings": base[::-1] ** 2}
    return answers.compare(pair("embedding", *tensors, weights=weights, labels=(label, "b", "c", "d")))


def test_the_headline_counts_models_that_were_compared() -> None:
    changed = _vectors()
    skipped = answers.Model(name="x", suite="mine", kind="", weights="random", outcome="skipped", reason="why")
    assert report.headline(_validation(changed, skipped)) == (
        "eager_bf16 changes the answers of 1 of 1 model against eager"
    )
    assert report.headline(_validation(skipped)).startswith("no model could be compared")


def test_the_page_says_which_weights_are_real_and_names_every_limit() -> None:
    page = report.page(_validation(_vectors(), _vectors("random")), {})
    assert "trained weights: the answers are compared" in page
    assert "random weights: numbers are compared" in page
    assert "at least 90\N{NO-BREAK SPACE}% wanted: " in page and "at most 10\N{NO-BREAK SPACE}% wanted: missed" in page
    assert "differs" in page and "for information" in page


def test_hostile_labels_modes_and_reasons_reach_neither_page_nor_terminal() -> None:
    evil = "<img src=x onerror=alert(1)>\x1b[2J\u202e"
    failed = answers.Model(name=evil, suite="mine", kind="", weights=evil, outcome="failed", reason=evil)
    validation = _validation(_vectors(label=evil), failed, mode=evil)
    page, text = report.page(validation, {}), report.text(validation)
    assert "<img" not in page and "&lt;img" in page
    for shown in (page, text):
        assert "\x1b" not in shown and "\u202e" not in shown


def test_a_picture_is_an_image_with_its_boxes_and_nothing_else() -> None:
    image = np.zeros((3, 2, 4), "f4")
    image[0, 0, 1] = 2.0
    content = report.png(image)
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    assert struct.unpack(">II", content[16:24]) == (4, 2)
    start = content.index(b"IDAT") + 4
    rows = zlib.decompress(content[start : start + struct.unpack(">I", content[start - 8 : start - 4])[0]])
    assert rows == bytes([0, *([0] * 3), 255, *([0] * 8)]) + bytes(13)
    box = Box(left=1, top=0, right=9, bottom=2, label=1, score=0.5, iou=0.0)
    svg = report.picture([box], image)
    assert 'viewBox="0 0 4 2"' in svg and svg.count("<rect") == 1 and 'class="lone"' in svg
    assert struct.unpack(">II", report.png(np.zeros((3, 300, 1000), "f4"))[16:24]) == (250, 75)
    assert report.picture([], np.full((1, 2, 2), np.nan, "f4")).count("<rect") == 0


def test_a_picture_stands_beside_its_own_item_although_those_that_differ_come_first() -> None:
    same = {"boxes 0": [[0, 0, 4, 4]], "labels 0": [1], "scores 0": [0.9]}
    tensors = {**same, **{name.replace("0", "1"): value for name, value in same.items()}}
    moved = {**tensors, "boxes 1": [[40, 40, 44, 44]]}
    model = answers.compare(pair("detection", tensors, moved, labels=("first", "second")))
    assert [item.label for item in model.items] == ["second", "first"]
    pictures = [np.zeros((3, 48, 48), "f4"), np.ones((3, 96, 96), "f4")]
    page = report.page(_validation(model), {"net": pictures})
    places = [page.index(text) for text in (">second<", 'viewBox="0 0 96 96"', ">first<", 'viewBox="0 0 48 48"')]
    assert places == sorted(places)
    assert page.count("<svg") == 4 and page.count('class="lone"') == 2
