"""What two lanes answered, side by side: a page for a browser and lines for a terminal.

Promises a page without script and without any request, that says of every model whether its weights are trained or
random, names each limit beside its figure, and shows the items that differ first. Labels and reasons are escaped by
Jinja and cleaned of invisible characters before that; pictures are made here, of numbers only.
"""

from __future__ import annotations

import base64
import functools
import struct
import zlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jinja2
import numpy as np
from markupsafe import Markup

from bot import answers, numbers
from bot.answers import Box, Item, Model, Validation
from bot.report import templating
from bot.report.escaping import clean

MOST_PIXELS = 256
"""Pixels of a side of a picture; larger images are thinned."""

TITLES = {
    "changed": "changes answers",
    "same": "same answers",
    "failed": "could not be compared",
    "skipped": "skipped",
}
KINDS = {
    "": "numbers",
    "classification": "classes",
    "detection": "boxes",
    "embedding": "order of neighbours",
    "span": "spans",
}


def headline(validation: Validation) -> str:
    """`eager_bf16 changes the answers of 1 of 3 models`."""
    changed, same = validation.of("changed"), validation.of("same")
    compared = len(changed) + len(same)
    mode, against = clean(validation.mode), clean(validation.against)
    if not compared:
        return f"no model could be compared between {mode} and {against}"
    if changed:
        return f"{mode} changes the answers of {len(changed)} of {numbers.count(compared, 'model')} against {against}"
    return f"{mode} answers as {against} does: {numbers.count(compared, 'model')} compared"


def weights_text(model: Model) -> str:
    """What the weights are, and what that means for the comparison."""
    if model.weights == "random":
        what = "boxes" if model.kind == "detection" else "numbers"
        return f"random weights: {what} are compared, the answers mean nothing"
    if model.weights == "trained":
        return "trained weights: the answers are compared"
    return f"weights from {clean(model.weights)}: the answers are compared"


def text(validation: Validation) -> str:
    """The outcome for a terminal: a paragraph for each model, with what differs."""
    lines = [headline(validation), ""]
    for model in validation.models:
        lines.append(f"{clean(model.name)}: {TITLES[model.outcome]} ({weights_text(model)})")
        if model.outcome in ("failed", "skipped") or not model.figures:
            lines.append(f"  {clean(model.reason, 500)}")
        lines += [f"  {answers.criterion_text(figure)}{_mark(figure)}" for figure in model.figures]
        if model.real:
            differing = [item for item in model.items if not item.same]
            if model.kind and model.figures:
                lines.append(f"  {len(differing)} of {model.items_compared} items differ")
            for item in differing[:5]:
                lines.append(f"    {clean(item.label)}{f' ({clean(item.note)})' if item.note else ''}")
                lines += [f"      {word}: {clean(' | '.join(side), 240)}" for word, side in _sides(validation, item)]
        lines.append("")
    return "\n".join(lines)


def _mark(figure: answers.Figure) -> str:
    return "" if figure.limit is None else " – kept" if figure.passed else " – missed"


def _sides(validation: Validation, item: Item) -> Iterable[tuple[str, tuple[str, ...]]]:
    yield clean(validation.against), item.base
    yield clean(validation.mode), item.head


def page(validation: Validation, pictures: Mapping[str, Sequence[np.ndarray]]) -> str:
    """The validation as a page; `pictures` are the images that detectors were given, by the name of the model."""
    return (
        _environment()
        .get_template("answers.html.j2")
        .render(
            validation=validation,
            headline=headline(validation),
            counts={outcome: len(validation.of(outcome)) for outcome in ("changed", "same", "failed", "skipped")},
            drawn={
                model.name: {
                    item.number: (picture(item.base_boxes, image), picture(item.head_boxes, image))
                    for item in model.items
                    for image in pictures.get(model.name, ())[item.number : item.number + 1]
                }
                for model in validation.models
            },
        )
    )


def picture(boxes: Sequence[Box], image: np.ndarray) -> Markup:
    """An image with boxes drawn on it, as SVG: solid where the other lane has the box too, dashed where not.

    `image` has the shape (channels, height, width) and any range, which is stretched to that of a pixel.
    """
    _, rows, columns = image.shape
    shapes = "".join(
        f'<rect class="{"found" if box.iou > 0 else "lone"}" x="{box.left:.1f}" y="{box.top:.1f}" '
        f'width="{max(0.0, box.right - box.left):.1f}" height="{max(0.0, box.bottom - box.top):.1f}"/>'
        for box in boxes
        if all(map(np.isfinite, (box.left, box.top, box.right, box.bottom)))
    )
    # Markup: holds numbers only.
    return Markup(
        f'<svg role="img" aria-label="{len(boxes)} boxes" viewBox="0 0 {columns} {rows}">'
        f'<image href="data:image/png;base64,{base64.b64encode(png(image)).decode()}" '
        f'width="{columns}" height="{rows}" preserveAspectRatio="none"/>{shapes}</svg>'
    )


def png(image: np.ndarray) -> bytes:
    """An image of shape (channels, height, width) as PNG, thinned where it is large; grey unless it has three channels.

    Its range is stretched to that of a pixel.
    """
    thin = max(1, -(-max(image.shape[1:]) // MOST_PIXELS))
    image = image[:, ::thin, ::thin]
    finite = np.nan_to_num(image.astype(np.float64), posinf=0.0, neginf=0.0)
    low, high = float(finite.min(initial=0.0)), float(finite.max(initial=0.0))
    pixels = (255 * (finite - low) / (high - low if high > low else 1.0)).astype(np.uint8)
    pixels = np.repeat(pixels[:1], 3, axis=0) if pixels.shape[0] != 3 else pixels
    rows, columns = pixels.shape[1:]
    # Each row begins with the number of its filter, 0 for none (PNG specification, section 9).
    raw = b"".join(b"\0" + pixels[:, row].T.tobytes() for row in range(rows))

    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    header = struct.pack(">IIBBBBB", columns, rows, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b"")


def _visible(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    return clean(str(value), 1000).replace(" %", "\N{NO-BREAK SPACE}%")


@functools.cache
def _environment() -> jinja2.Environment:
    environment = templating.environment(_visible)
    environment.globals.update(
        weights_text=weights_text,
        criterion_text=answers.criterion_text,
        value_text=answers.value_text,
        titles=TITLES,
        kinds=KINDS,
        # The palette of plots, of which this page has none.
        palette={},
    )
    return environment
