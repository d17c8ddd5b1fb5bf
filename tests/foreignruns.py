"""Runs and files to try formats with: any run that the engine could have written, and text that no tool would write."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from hypothesis import strategies as st

from harness import records
from harness.errors import UserError
from harness.formats import Format, Upload, exported
from harness.records import Compilation
from tests import synthetic
from tests.synthetic import Case

MODES = ("eager", "eager_fp16", "inductor", "inductor_bf16", "inductor_cudagraphs", "aot_inductor_amp", "jit")
MODELS = ("alexnet", "hf_T5", "timm/vit-b_16", "a-b", "meta-llama/Llama-3.2-1B", "x")
FAILURES = ("fail_accuracy", "fail_to_run", "OOM", "timeout", "crash")

_counts = st.none() | st.integers(0, 10**6)


@st.composite
def compilations(draw: st.DrawFn) -> Compilation:
    counts = {field: draw(_counts) for field in ("graph_breaks", "unique_graphs", "cudagraph_skips", "calls_captured")}
    return Compilation(cold_seconds=draw(st.none() | st.floats(0.01, 1e4)), **counts)


@st.composite
def cases(draw: st.DrawFn, test: str) -> Case:
    status = draw(st.sampled_from(("pass", "pass", "pass", *FAILURES)))
    accuracy = draw(st.sampled_from((None, None, "pass", "pass_due_to_skip")))
    if status == "fail_accuracy":
        accuracy = draw(st.sampled_from((None, "fail_accuracy", "eager_two_runs_differ")))
    return Case(
        test,
        seconds=draw(st.floats(1e-5, 1e3)),
        ratio=draw(st.floats(0.1, 10)),
        status=status,  # type: ignore[arg-type]
        reason="" if status == "pass" else "it went wrong",
        compilation=draw(st.none() | compilations()),
        accuracy=None if accuracy is None else records.Accuracy(status=accuracy),
        memory_ratio=draw(st.floats(0.1, 10)),
    )


@st.composite
def runs(draw: st.DrawFn, modes: tuple[str, ...] = MODES, device: str = "cpu") -> records.Run:
    """A run of a few tests of which some failed and some have no result; at least one has one."""
    names = st.builds(
        "test_{}[{}-{}-{}]".format,
        st.sampled_from(("eval", "train")),
        st.sampled_from(MODELS),
        st.just(device),
        st.sampled_from(modes),
    )
    tests = draw(st.lists(names, min_size=1, max_size=6, unique=True))
    absent = draw(st.lists(names.filter(lambda name: name not in tests), max_size=2, unique=True))
    machine = msgspec.structs.replace(synthetic.MACHINE, gpus=("NVIDIA H100",) if device == "cuda" else ())
    return synthetic.run(
        [draw(cases(test)) for test in tests],
        base=draw(st.sampled_from((None, synthetic.BASE))),
        launches=draw(st.integers(1, 3)),
        rounds=draw(st.integers(1, 3)),
        seed=draw(st.integers(0, 99)),
        planned=absent,
        machine=machine,
    )


def round_trip(format: Format, run: records.Run) -> records.Run:
    """The run after export and import, checked to satisfy the schema of the run format."""
    return checked(format.read(format.write(run, Upload())))


def checked(run: records.Run) -> records.Run:
    """The run, once its lines have been written and read as those of a run file."""
    decoder = msgspec.json.Decoder(records.Line)
    lines = [run.header, *run.tests, *run.footers]
    assert [decoder.decode(raw) for raw in records.encode(lines).splitlines()] == lines
    return run


def rows(run: records.Run) -> Mapping[str, exported.Row]:
    """What formats are made of, by test."""
    return {row.test: row for row in exported.rows(run)}


def read_or_refused(format: Format, files: Mapping[str, bytes]) -> str:
    """Read files of any content; it must become a run or one short sentence, which is returned."""
    try:
        checked(format.read(files))
    except UserError as error:
        sentence = str(error)
        assert "\n" not in sentence and sentence.isprintable() and len(sentence) < 1000
        return sentence
    return ""
