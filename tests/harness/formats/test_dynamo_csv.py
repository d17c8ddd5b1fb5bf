"""The dashboard's CSV: figures survive there and back, every historical layout is read, hostile files are not."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness import records
from harness.errors import UserError
from harness.formats import FORMATS, Upload, dashboard, dynamo_csv
from harness.records import Accuracy, Compilation
from tests import synthetic
from tests.foreignruns import checked, read_or_refused, round_trip, rows, runs
from tests.synthetic import Case

FORMAT = FORMATS["dynamo-csv"]
STEM = "inductor_no_cudagraphs_torchbench_bfloat16_inference_cuda_h100"
PERFORMANCE, ACCURACY = f"{STEM}_performance.csv", f"{STEM}_accuracy.csv"
TEST = "test_eval[resnet18-cuda-inductor_bf16]"


def table(content: bytes) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(content.decode())))


def read(**files: str) -> dict[str, records.Test]:
    found = checked(dynamo_csv.read({f"{STEM}_{kind}.csv": text.encode() for kind, text in files.items()}))
    return {test.test: test for test in found.tests}


@given(runs() | runs(device="cuda"))
@settings(max_examples=60, deadline=None)
def test_figures_survive_export_and_import(run: records.Run) -> None:
    after = rows(round_trip(FORMAT, run))
    before = rows(run)
    assert after.keys() == before.keys()
    for name, row in before.items():
        found = after[name]
        assert found.failed == row.failed
        assert found.suite == row.suite
        if row.seconds is None:
            assert found.status not in ("pass", None)
            assert found.word == row.word
            continue
        assert found.word == row.word
        assert found.items == row.items
        assert found.seconds == pytest.approx(row.seconds, abs=1e-9)
        assert found.speedup == pytest.approx(row.speedup, rel=1e-3, abs=1e-6) if row.speedup else not found.speedup
        assert found.compile_seconds == pytest.approx(row.compile_seconds, abs=1e-6)
        assert found.peak_memory_bytes == pytest.approx(row.peak_memory_bytes, abs=501)
        for column in dynamo_csv.COUNTS:
            assert getattr(found.counts, column) == getattr(row.counts, column)


@given(runs())
@settings(max_examples=30, deadline=None)
def test_what_was_imported_is_exported_as_the_same_files_with_figures_within_their_rounding(run: records.Run) -> None:
    first = dynamo_csv.write(run, Upload())
    again = dynamo_csv.write(dynamo_csv.read(first), Upload())
    assert again.keys() == first.keys()
    for file, content in first.items():
        for before, after in zip(table(content), table(again[file]), strict=True):
            assert before.keys() == after.keys()
            for column, value in before.items():
                if column in ("speedup", "compression_ratio") and value:
                    assert float(after[column]) == pytest.approx(float(value), rel=2e-3, abs=2e-6)
                elif column != "eager_peak_mem":
                    assert after[column] == value


def test_columns_are_the_harness_own_in_their_order() -> None:
    case = Case(
        "test_train[resnet18-cpu-inductor_amp]",
        compilation=Compilation(cold_seconds=33.25, graph_breaks=2, unique_graphs=3),
        accuracy=Accuracy(status="pass"),
        noise=synthetic.QUIET,
    )
    eager = Case("test_train[resnet18-cpu-eager_amp]", noise=synthetic.QUIET, seconds=0.02)
    files = dynamo_csv.write(synthetic.run([eager, case]), Upload())
    stem = "inductor_no_cudagraphs_smoke_amp_training_cpu_x86"
    header, row = files[f"{stem}_performance.csv"].decode().splitlines()
    assert header == (
        "dev,name,batch_size,speedup,abs_latency,compilation_latency,compression_ratio,eager_peak_mem,dynamo_peak_mem,"
        "calls_captured,unique_graphs,fallbacks_to_eager,graph_breaks,unique_graph_breaks,autograd_captures,"
        "autograd_compiles,cudagraph_skips"
    )
    assert row == "cpu,resnet18,4,2.000000,10.000000,33.250000,1.000000,0.268435,0.268435,,3,,2,,,,"
    header, row = files[f"{stem}_accuracy.csv"].decode().splitlines()
    assert header == (
        "dev,name,batch_size,accuracy,calls_captured,unique_graphs,fallbacks_to_eager,graph_breaks,"
        "unique_graph_breaks,autograd_captures,autograd_compiles,cudagraph_skips,compilation_latency"
    )
    assert row == "cpu,resnet18,4,pass,,3,,2,,,,,"


def test_failed_and_absent_tests_are_rows_of_zeros_with_a_status() -> None:
    a, b, c = (f"test_eval[{name}-cpu-inductor]" for name in "abc")
    run = synthetic.run([Case(a, status="OOM"), Case(b, status="skip", reason="no eval step")], planned=[c])
    files = dynamo_csv.write(run, Upload())
    stem = "inductor_no_cudagraphs_smoke_float32_inference_cpu_x86"
    zeros = ",0" * 12
    assert files[f"{stem}_performance.csv"].decode().splitlines()[1:] == [
        f"cpu,{name},0,0.0,0.0{zeros}" for name in ("a", "c")
    ]
    assert [row["accuracy"] for row in table(files[f"{stem}_accuracy.csv"])] == ["OOM", "infra_error"]
    after = {test.test: test.status for test in dynamo_csv.read(files).tests}
    assert after == {a: "OOM", c: "fail_to_run"}


def test_a_time_that_six_decimals_would_lose_does_not_become_a_failure() -> None:
    tiny = synthetic.run([Case("test_eval[a-cpu-eager]", seconds=1e-11, noise=synthetic.QUIET)])
    (test,) = dynamo_csv.read(dynamo_csv.write(tiny, Upload())).tests
    assert test.status == "pass"
    assert test.lanes[0].typical_seconds == pytest.approx(1e-11)


@pytest.mark.parametrize(
    "text",
    [
        # Newest, with a tag, a comparison and cache columns.
        "dev,name,batch_size,tag,speedup,abs_latency,baseline,speedup_vs_baseline,compilation_latency,"
        "compression_ratio,eager_peak_mem,dynamo_peak_mem,cache_lookup_latency,calls_captured,unique_graphs,"
        "fallbacks_to_eager,graph_breaks,unique_graph_breaks,autograd_captures,autograd_compiles,cudagraph_skips\n"
        "cuda,resnet18,16,x,2.000000,5.000000,4.0,0.8,30.5,0.9,1.0,1.1,0.01,10,1,0,3,3,0,0,0\n",
        # Before fallbacks, autograd and cudagraph columns.
        "dev,name,batch_size,speedup,abs_latency,compilation_latency,compression_ratio,eager_peak_mem,"
        "dynamo_peak_mem,calls_captured,unique_graphs,graph_breaks,unique_graph_breaks\n"
        "cuda,resnet18,16,2.000000,5.000000,30.5,0.9,1.0,1.1,10,1,3,3\n",
        # No header at all.
        "cuda,resnet18,16,2.0,5.0,30.5,0.9\n",
        # A short header of a failure first, then the whole one; the last row of a test counts.
        "dev,name,batch_size,speedup,abs_latency\ncuda,resnet18,0,0.0,0.0\n"
        "dev,name,batch_size,speedup,abs_latency,compilation_latency\ncuda,resnet18,16,2.0,5.0,30.5\n",
        # A short row below a longer header, columns in another order, CRLF, a byte order mark, blank lines.
        "\ufeffdev,name,batch_size,abs_latency,speedup,compilation_latency,graph_breaks\r\n\r\n"
        "cuda,resnet18,16,5.0,2.0,30.5\r\n",
    ],
    ids=["newest", "older", "headerless", "short header first", "short row"],
)
def test_every_historical_layout(text: str) -> None:
    (test,) = read(performance=text).values()
    assert (test.test, test.suite, test.status) == (TEST, "torchbench", "pass")
    eager, own = test.lanes
    assert (eager.name, own.name) == ("eager_bf16@imported", "inductor_bf16@imported")
    assert (eager.typical_seconds, own.typical_seconds, own.items) == (0.01, 0.005, 16)
    assert own.compilation is not None and own.compilation.cold_seconds == 30.5


def test_missing_columns_and_empty_cells_are_unknown_and_padding_is_failure() -> None:
    tests = read(
        performance="dev,name,batch_size,speedup,abs_latency,graph_breaks\ncuda,a,,,2.0,\ncuda,b,0,0.0,0.0,0\n"
    )
    first, second = tests.values()
    assert [lane.mode for lane in first.lanes] == ["inductor_bf16"]
    assert first.lanes[0].compilation is None
    assert first.lanes[0].launches[0].peak_memory_bytes is None
    assert (second.status, second.lanes) == ("fail_to_run", ())


def test_accuracy_decides_how_a_test_ended() -> None:
    performance = "dev,name,batch_size,speedup,abs_latency\n" + "".join(f"cuda,{name},1,1.5,2.0\n" for name in "abcd")
    words = {"a": "pass", "b": "fail_accuracy", "c": "eager_1st_run_OOM", "e": "model_fail_to_load", "f": "pass"}
    accuracy = "dev,name,batch_size,accuracy\n" + "".join(f"cuda,{name},1,{word}\n" for name, word in words.items())
    tests = {test.benchmark: test for test in read(performance=performance, accuracy=accuracy).values()}
    assert {name: test.status for name, test in tests.items()} == {
        **{"a": "pass", "b": "fail_accuracy", "c": "OOM", "d": "pass", "e": "fail_to_run", "f": "pass"}
    }
    assert tests["d"].accuracy is None
    assert tests["e"].accuracy == Accuracy(status="model_fail_to_load")
    assert tests["f"].lanes == ()


def test_the_machine_is_unknown_and_another_for_other_files() -> None:
    one, two = (dynamo_csv.read({PERFORMANCE: f"cuda,a,1,1.0,{ms}\n".encode()}) for ms in (1, 2))
    assert one.header.machine.name == "unknown"
    assert one.header.machine.gpus == ("H100",)
    assert one.header.machine.fingerprint != two.header.machine.fingerprint


@pytest.mark.parametrize(
    ("file", "text", "words"),
    [
        ("inductor.csv", "dev,name,batch_size,speedup,abs_latency\n", "its name does not say"),
        ("../../etc/passwd", "", "its name does not say"),
        (PERFORMANCE, "", "holds no test"),
        (PERFORMANCE, "hello,world,1,2\n", "line 1: this is no header"),
        (PERFORMANCE, "cuda\n", "line 1: this is no header"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda\n", "line 2: the row has no name"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,nan\n", "line 2, abs_latency: 'nan'"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,1e999\n", "'1e999' is not a figure"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,-1\n", "'-1' is not a figure"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,inf\n", "'inf' is not a figure"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,1_0\n", "'1_0' is not a figure"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a,٣\n", "is not a figure"),
        (PERFORMANCE, "dev,name,abs_latency,graph_breaks\ncuda,a,1,1.5\n", "'1.5' is not a whole number"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a]x,1\n", "cannot be the name of a test"),
        (PERFORMANCE, 'dev,name,abs_latency\ncuda,"a\nb",1\n', "cannot be the name of a test"),
        (PERFORMANCE, 'dev,name,abs_latency\ncuda,"a\n', "is not CSV"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda,a\0,1\n", "line 2: holds a NUL"),
        (PERFORMANCE, "dev,name,abs_latency\ncuda," + "a" * 200_000 + ",1\n", "is not CSV"),
        (ACCURACY, "dev,name,batch_size,accuracy\ncuda,a,1,<b>\n", "is not a status"),
        (ACCURACY, "dev,name,batch_size\ncuda,a,1\n", "'' is not a status"),
    ],
)
def test_bad_input_names_the_place(file: str, text: str, words: str) -> None:
    assert words in read_or_refused(FORMAT, {file: text.encode()})


def test_other_bytes_and_many_columns() -> None:
    assert "line 2: is not UTF-8" in read_or_refused(FORMAT, {PERFORMANCE: b"dev,name\n\xff\xfe\n"})
    wide = "dev,name,abs_latency" + ",x" * 50_000 + "\ncuda,a,1" + ",2" * 60_000 + "\n"
    assert read_or_refused(FORMAT, {PERFORMANCE: wide.encode()}) == ""


def test_files_of_two_machines_are_not_one_run() -> None:
    text = b"dev,name,batch_size,speedup,abs_latency\ncpu,a,1,1.0,1.0\n"
    stems = [f"inductor_torchbench_amp_training_cpu_{kind}_performance.csv" for kind in ("x86", "aarch64")]
    with pytest.raises(UserError, match=r"another file too|several machines"):
        dynamo_csv.read(dict.fromkeys(stems, text))


_cells = st.one_of(
    st.sampled_from(
        ["", "0", "0.0", "1.5", "-1", "nan", "1e999", "dev", "name", "cpu", "cuda", "a", "pass", '"', "a\0", "]"]
    ),
    st.text(max_size=5),
)
_lines = st.lists(st.lists(_cells, max_size=8).map(",".join), max_size=8)


@given(
    st.sampled_from([PERFORMANCE, ACCURACY, "eager_x_amp_training_cpu_performance.csv"]),
    st.booleans(),
    _lines,
    st.sampled_from(["\n", "\r\n", "\r"]),
)
@settings(max_examples=300, deadline=None)
def test_a_hostile_file_becomes_a_run_or_a_sentence(file: str, headed: bool, lines: list[str], end: str) -> None:
    kind = "accuracy" if "accuracy" in file else "performance"
    head = [",".join(dynamo_csv.COLUMNS[kind])] if headed else []
    read_or_refused(FORMAT, {file: end.join([*head, *lines]).encode("utf-8", "surrogatepass")})


@given(st.binary(max_size=200))
@settings(max_examples=100, deadline=None)
def test_any_bytes_become_a_run_or_a_sentence(content: bytes) -> None:
    for format in FORMATS.values():
        read_or_refused(format, {PERFORMANCE: content})


@pytest.mark.parametrize("suite", ["smoke", "torchbench", "timm", "huggingface"])
@pytest.mark.parametrize("backend", ["eager", "aot_eager", "jit", "new_one", *dashboard.COMPILERS])
@pytest.mark.parametrize("precision", ["float32", "bf16", "fp16", "amp", "amp_fp16"])
def test_a_name_is_read_as_it_was_written(suite: str, backend: str, precision: str) -> None:
    for device in ("cpu_x86", "cuda", "cuda_b200", "cpu_x86_zen", "rocm", "mps"):
        name = dashboard.Name(backend, suite, precision, "train", device)
        assert dashboard.parse_stem(f"{name.stem}_accuracy") == (name, "accuracy")


@pytest.mark.parametrize("suite", ["../../x", "my suite", "a_b", "", "é", "x" * 300])
def test_no_suite_or_mode_becomes_a_path(suite: str) -> None:
    name = dashboard.Name(suite or "eager", suite, "float32", "eval", suite)
    assert "/" not in name.stem and not name.stem.startswith(".") and len(name.stem) < 400
    assert name.stem.isascii() and " " not in name.stem


def test_two_tests_never_share_a_row() -> None:
    run = synthetic.run([Case("test_eval[a-cpu-eager]")])
    other = records.Test(**{**{f: getattr(run.tests[0], f) for f in run.tests[0].__struct_fields__}, "test": "t"})
    twice = records.Run(header=run.header, tests=(*run.tests, other))
    with pytest.raises(UserError, match="would share a row"):
        dynamo_csv.write(twice, Upload())
