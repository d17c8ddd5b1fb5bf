"""Formats of other tools: from a run to their files, and from their files to a run.

Promises one small interface for all of them, `Format`, and a table by name, `FORMATS`. Writing gives names of files,
relative and made of words alone, with their bytes; reading takes names and bytes and gives an ordinary run, in which
what a file does not tell is marked unknown. Nothing here opens a file. What is read is hostile: it becomes a run or a
`UserError`. Imports no torch.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from harness.formats import convnet, dynamo_csv, hud_v3, pytest_benchmark, target_lines, userbenchmark
from harness.formats.upload import Upload
from harness.records import Run

__all__ = ["FORMATS", "Format", "Upload"]


@dataclass(frozen=True)
class Format:
    """A format: `write` gives files by name, empty where the run has nothing that it can hold; `read` gives a run.

    Both raise UserError.
    """

    name: str
    summary: str
    write: Callable[[Run, Upload], dict[str, bytes]]
    read: Callable[[Mapping[str, bytes]], Run]


FORMATS: dict[str, Format] = {
    one.name: one
    for one in (
        Format("dynamo-csv", "CSV of the TorchDynamo benchmark harness", dynamo_csv.write, dynamo_csv.read),
        Format("hud-v3", "benchmark records of the PyTorch HUD", hud_v3.write, hud_v3.read),
        Format("pytest-benchmark", "JSON that score V1 takes", pytest_benchmark.write, pytest_benchmark.read),
        Format("userbenchmark", "metrics files of TorchBench", userbenchmark.write, userbenchmark.read),
        Format("target-lines", "[TARGET] lines of the Yitian benchmark", target_lines.write, target_lines.read),
        Format("convnet", "what the convnet benchmark prints", convnet.write, convnet.read),
    )
}
