"""Good files with something wrong in them, for every format: always a run or one sentence, never anything else."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.formats import FORMATS, Upload
from harness.records import Accuracy, Compilation
from tests import synthetic
from tests.foreignruns import read_or_refused
from tests.synthetic import Case

RUN = synthetic.run(
    [
        Case("test_eval[a-cpu-eager]"),
        Case("test_train[b-cpu-eager]", compilation=Compilation(cold_seconds=3.0, graph_breaks=1)),
        Case("test_eval[b-cpu-inductor_bf16]", accuracy=Accuracy(status="pass")),
        Case("test_eval[c-cpu-eager]", status="crash"),
    ],
    launches=2,
    rounds=2,
    planned=["test_eval[d-cpu-eager]"],
)
FILES = [
    (format.name, file, content) for format in FORMATS.values() for file, content in format.write(RUN, Upload()).items()
]
JSON = [entry for entry in FILES if entry[1].endswith(".json")]

VALUES: st.SearchStrategy[Any] = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(),
    st.text(max_size=8),
    st.sampled_from([10**400, "1e999", "../../x", "a]\n[b", "\ud800", [], {}, [[]], {"a": []}, "9" * 5000, -1]),
)


def nodes(document: Any) -> list[tuple[Any, Any]]:
    """Every place of a JSON document, as a container and a key in it."""
    entries = list(document.items()) if isinstance(document, dict) else list(enumerate(document))
    below = [node for _, value in entries if isinstance(value, (dict, list)) for node in nodes(value)]
    return [(document, key) for key, _ in entries] + below


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_value_in_any_place_of_a_json_file(data: st.DataObject) -> None:
    name, file, content = data.draw(st.sampled_from(JSON))
    lined = name == "hud-v3"
    document = [json.loads(line) for line in content.splitlines()] if lined else json.loads(content)
    container, key = data.draw(st.sampled_from(nodes(document)))
    if data.draw(st.booleans()) or not isinstance(container, dict):
        container[key] = data.draw(VALUES)
    else:
        # Names are data as well.
        container[data.draw(st.text(max_size=8) | st.just(f"{key}x"))] = container.pop(key)
    read_or_refused(FORMATS[name], {file: json.dumps(document).encode()})


@given(st.data())
@settings(max_examples=400, deadline=None)
def test_any_bytes_in_any_place_of_a_file(data: st.DataObject) -> None:
    name, file, content = data.draw(st.sampled_from(FILES))
    begin = data.draw(st.integers(0, len(content)))
    end = data.draw(st.integers(begin, min(len(content), begin + 20)))
    inserted = data.draw(
        st.binary(max_size=6) | st.sampled_from([b"\0", b"-", b"nan", b"1e999", b",", b'"', b"\r", b"]"])
    )
    read_or_refused(FORMATS[name], {file: content[:begin] + inserted + content[end:]})


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("content", [b"", b"\xef\xbb\xbf", b"\0", b"\xff\xfe", b"\n" * 1000, b"null", b"0", b'"x"'])
def test_nothing_is_no_run(name: str, content: bytes) -> None:
    file = "inductor_torchbench_amp_training_cuda_performance.csv"
    assert read_or_refused(FORMATS[name], {file: content}).startswith(file)


@pytest.mark.parametrize("name", FORMATS)
def test_carriage_returns_and_a_byte_order_mark_change_nothing(name: str) -> None:
    format = FORMATS[name]
    files = {file: content for own, file, content in FILES if own == name and "model-stableness" not in file}
    if name == "userbenchmark":
        files = {file: content for file, content in files.items() if "test_bench" in file}
    foreign = {file: b"\xef\xbb\xbf" + content.replace(b"\n", b"\r\n") for file, content in files.items()}
    assert format.read(foreign).tests == format.read(files).tests
