"""The reference file: what is read, what is refused, and that a change touches nothing else."""

from __future__ import annotations

import io
import math
import os
import stat
from pathlib import Path

import pytest
import ruamel.yaml
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from bot import reference as ref
from bot import score
from bot.reference import Entry, Header, Measured
from harness.errors import UserError
from tests.published import v1_reference

A, B, C = "test_eval[alexnet-cpu-eager]", "test_eval[resnet18-cpu-eager]", "test_train[vgg16-cuda-jit]"

HAND_MADE = f"""\
# top comment
torchwarden:   # of the lab
  machine: box-7
  torch: 2.10   # not a number
  threads: 1

# the light ones
{A}:
    norm:   0.00500   # from run 12
    threshold: 0.15

# the heavy ones
{B}: {{ norm: 1e-2, spread: 0.02 }}  # flow
'{C}':
  norm: 1.5
# the end
"""


@pytest.fixture(scope="module")
def published() -> Path:
    return v1_reference()


# reading


def test_the_published_file_is_read_unchanged(published: Path) -> None:
    reference = ref.load(published)
    assert ref.norms(reference) == {n: e["norm"] for n, e in yaml.safe_load(published.read_text()).items()}
    assert len(reference.tests) == 245
    assert reference.header is None
    assert reference.tests[A] == Entry(norm=0.004760728689881278)
    rows = ref.rows(reference)
    assert [row.test for row in rows] == list(reference.tests)
    assert math.fsum(row.weight for row in rows) == pytest.approx(1)
    assert score.strict_v1(ref.norms(reference), ref.norms(reference)).total == pytest.approx(1000, abs=1e-9)


def test_the_superset_is_read() -> None:
    reference = ref.parse(HAND_MADE, "r.yaml")
    assert reference.header == Header(machine="box-7", torch="2.10", threads=1), "a version stays text"
    assert reference.tests == {A: Entry(0.005, threshold=0.15), B: Entry(0.01, spread=0.02), C: Entry(1.5)}


ENTRY = f"{B}:\n  norm: 1\n"
BAD = [
    ("", "holds no test"),
    ("# nothing\n", "holds no test"),
    ("torchwarden: {machine: a}\n", "holds no test"),
    ("- a\n", ":1: is not a mapping"),
    ("just text\n", ":1: is not a mapping"),
    (f"{ENTRY}---\n{ENTRY}", "second document"),
    (f"{A}: [\n", "is not valid YAML"),
    (f"{ENTRY}{A}:\n\tnorm: 1\n", ":4: is not valid YAML"),
    (f"{ENTRY}\x00", "is not valid YAML"),
    (f"{ENTRY}{A}: 0.5\n", f":3: the entry of {A} is not a mapping"),
    (f"{ENTRY}{A}:\n", f"the entry of {A} is not a mapping"),
    (f"{ENTRY}{A}: {{}}\n", f":3: {A} has no norm"),
    (f"{ENTRY}{A}:\n  spread: 1\n", f":3: {A} has no norm"),
    *(
        (f"{ENTRY}{A}:\n  norm: {norm}\n", f":4: norm of {A} is {shown}; write a positive number")
        for norm, shown in [
            ("0", "'0'"),
            ("0.0", "'0.0'"),
            ("-1.5", "'-1.5'"),
            (".nan", "'.nan'"),
            ("nan", "'nan'"),
            (".inf", "'.inf'"),
            ("1e999", "'1e999'"),
            ("true", "'true'"),
            ("'0.5'", "the text '0.5'"),
            ("fast", "'fast'"),
            ("1:30", "'1:30'"),
            ("0x10", "'0x10'"),
            ("1_000", "'1_000'"),
            ("٣", "'٣'"),
            ("", "''"),
            ("[1]", "not a single value"),
            ("{a: 1}", "not a single value"),
        ]
    ),
    (f"{A}: {{norm: 1, spread: -0.1}}", f":1: spread of {A}"),
    (f"{A}: {{norm: 1, launches: 0}}", f"launches of {A}"),
    (f"{A}: {{norm: 1, launches: 2.5}}", f"launches of {A}"),
    (f"{A}: {{norm: 1, launches: {'9' * 5000}}}", f"launches of {A}"),
    (f"{A}: {{norm: 1, threshold: 7}}", f"threshold of {A} is '7'; write a fraction"),
    (f"{ENTRY}{A}: {{norm: 1, sigma: 2}}", f":3: 'sigma' of {A} is not a known key"),
    (f"{A}: {{norm: 1, norm: 1}}", f":1: 'norm' of {A} stands a second time"),
    (f"{ENTRY}{ENTRY}", f":3: '{B}' stands a second time, first in line 1"),
    (f"{ENTRY}resnet18: {{norm: 1}}", ":3: 'resnet18' is not the name of a test"),
    (f"{ENTRY}? [a]\n: 1\n", "has a key that is not text"),
    (f"torchwarden: 5\n{ENTRY}", ":1: torchwarden is not a mapping"),
    (f"torchwarden:\n  speed: 5\n{ENTRY}", ":2: 'speed' of torchwarden is not a known key"),
    (f"torchwarden:\n  threads: many\n{ENTRY}", ":2: threads of torchwarden is 'many'"),
    (f"torchwarden:\n  machine: [a]\n{ENTRY}", ":2: machine of torchwarden is not text"),
    (f"{A}: &x {{norm: 1}}\n{B}: *x\n", ":1: uses a YAML anchor"),
    (f"<<: *x\n{ENTRY}", "uses a YAML anchor"),
    (f"{A}: {{norm: !!float '1'}}\n", ":1: uses the YAML tag"),
    ("!!python/object/apply:os.system ['true']\n", ":1: uses the YAML tag"),
    ("[" * 100_000, "nested more than 8 levels"),
    ("{a: " * 100_000, "nested more than 8 levels"),
]


@pytest.mark.parametrize(("text", "words"), BAD, ids=range(len(BAD)))
def test_bad_files_are_refused_in_one_sentence(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "r.yaml"
    path.write_text(text, newline="")
    with pytest.raises(UserError) as caught:
        ref.load(path)
    message = str(caught.value)
    assert message.startswith(f"{path}:")
    assert words in message
    assert message.isprintable()
    assert len(message) < 600


def test_a_yaml_bomb_does_not_go_off(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x]"] + [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 12)]
    path = tmp_path / "bomb.yaml"
    path.write_text("\n".join(lines))
    with pytest.raises(UserError, match="anchor or alias"):
        ref.load(path)


def test_files_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "absent.yaml"):
        with pytest.raises(UserError, match="is not a file"):
            ref.load(path)
    odd = tmp_path / "odd.yaml"
    odd.write_bytes(ENTRY.encode() + b"# \xff\n")
    with pytest.raises(UserError, match=r"odd\.yaml:3: is not UTF-8"):
        ref.load(odd)
    odd.write_bytes(b"\xef\xbb\xbf" + ENTRY.encode())
    assert ref.load(odd).tests == {B: Entry(1.0)}
    monkeypatch.setattr(ref, "MAX_BYTES", 8)
    with pytest.raises(UserError, match="is larger than"):
        ref.load(odd)


def test_a_huge_file_is_refused_without_reading_it_whole(tmp_path: Path) -> None:
    path = tmp_path / "huge.yaml"
    with path.open("wb") as file:
        file.truncate(ref.MAX_BYTES * 1024)
    with pytest.raises(UserError, match="larger than 64 MiB"):
        ref.load(path)


# changing


def test_an_update_of_the_published_file_touches_its_entry_only(published: Path) -> None:
    text = ref.read_text(published)
    new = "test_eval[aaa-cpu-eager]"
    result = ref.updated_text(text, {A: Entry(0.00001, 0.012, 24), new: Entry(2.0)}, Header(machine="box"))
    lines, expected = result.splitlines(), text.splitlines()
    at = expected.index(f"{A}:")
    expected[at + 1 : at + 2] = ["  norm: 1.0e-05", "  spread: 0.012", "  launches: 24"]
    expected[3:3] = ["torchwarden:", "  machine: box"]
    assert lines == [*expected, f"{new}:", "  norm: 2.0"]
    assert ref.updated_text(result, {A: Entry(0.00001, 0.012, 24)}, Header(machine="box")) == result
    # Others read it too: 1.0e-05 is a number in YAML 1.1, where 1e-05 is not.
    assert yaml.safe_load(result)[A]["norm"] == 0.00001


def test_a_round_trip_through_ruamel_agrees_with_the_published_file(published: Path) -> None:
    text = published.read_text()
    round_trip = ruamel.yaml.YAML()
    document = round_trip.load(text)
    document[A]["norm"] = 0.25
    theirs = io.StringIO()
    round_trip.dump(document, theirs)
    assert ref.updated_text(text, {A: Entry(0.25)}, None) == theirs.getvalue()


def test_comments_order_and_layout_survive() -> None:
    result = ref.updated_text(
        HAND_MADE,
        {
            C: Entry(1.5, 0.01, 8),
            B: Entry(0.02),
            A: Entry(0.006, 0.03),
            "test_eval[b-cpu-x]": Entry(1),
            "test_eval[a-cpu-x]": Entry(1),
        },
        Header(machine="box-8", torch="2.11", date="2026-11-22"),
    )
    assert (
        result
        == f"""\
# top comment
torchwarden:   # of the lab
  machine: box-8
  torch: '2.11'   # not a number
  date: '2026-11-22'

# the light ones
{A}:
    norm:   0.006   # from run 12
    spread: 0.03
    threshold: 0.15

# the heavy ones
{B}: {{ norm: 0.02 }}  # flow
'{C}':
  norm: 1.5
  spread: 0.01
  launches: 8
# the end
test_eval[a-cpu-x]:
  norm: 1
test_eval[b-cpu-x]:
  norm: 1
"""
    )


def test_nothing_to_change_changes_nothing() -> None:
    same = ref.parse(HAND_MADE, "r")
    for text in (HAND_MADE, HAND_MADE.rstrip("\n"), HAND_MADE.replace("\n", "\r\n")):
        assert ref.updated_text(text, same.tests, same.header) == text
        assert ref.updated_text(text, {}, None) == text
    assert ref.updated_text(HAND_MADE, {A: Entry(0.005)}, None) == HAND_MADE, "a threshold is a person's decision"


def test_a_new_file() -> None:
    text = ref.updated_text(None, {B: Entry(1e-7, 0.1, 3), A: Entry(1.0)}, Header(machine="yes: # ü", threads=2))
    assert text.startswith("# Torchwarden reference")
    reference = ref.parse(text, "r")
    assert list(reference.tests.items()) == [(A, Entry(1.0)), (B, Entry(1e-7, 0.1, 3))]
    assert reference.header == Header(machine="yes: # ü", threads=2)
    assert ref.updated_text("# mine\n", {A: Entry(1.0)}, None) == f"# mine\n{A}:\n  norm: 1.0\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{{{A}: {{norm: 1}}}}",  # brackets in a plain key are not YAML inside braces
        f"{{'{A}': {{norm: 1}}, '{B}': {{spread: 1, launches: 3, norm: 2}}}}",
        f"  {A}:\n    norm: 1\n  {B}: {{spread: 1, norm: 2}}\n",
        f"---\n{A}:\n  norm: 1\n...\n# after\n",
        f"torchwarden:\n{A}: {{norm: 1}}",
        f"torchwarden: {{}}\n{A}: {{norm: 1}}",
        f"torchwarden: {{date: 1}}\n{A}: {{norm: 1}}",
        f"torchwarden:\n  date: 1 # c\n{A}:\n  norm: 1\r  threshold: 0.1\r",
        f"# é𝄞\n? {A}\n: {{norm: 1}}\n",
        f"{A}:\n  norm: 1\n# é𝄞 end",
    ],
)
def test_odd_layouts_are_changed_rightly_or_refused(text: str) -> None:
    changes = {A: Entry(3.0, 0.5, 4), B: Entry(5.0), C: Entry(6.0, 0.25)}
    header = Header(machine="box", threads=3)
    try:
        before = ref.parse(text, "r")
    except UserError:
        assert text.startswith("{test")
        return
    result = ref.parse(ref.updated_text(text, changes, header), "r")
    kept = before.tests[A].threshold
    assert result.tests == {**changes, A: Entry(3.0, 0.5, 4, kept)}
    assert result.header == header


def test_a_layout_that_cannot_be_changed_is_refused() -> None:
    with pytest.raises(UserError, match="cannot be changed in place"):
        ref.updated_text(f"? {A}\n: spread: 1\n  norm: 2\n", {A: Entry(2.0)}, None)


_numbers = st.floats(1e-9, 1e4)
_entries = st.builds(
    Entry, _numbers, st.none() | st.floats(0, 1), st.none() | st.integers(1, 99), st.none() | st.just(0.5)
)
_names = st.sampled_from([f"test_{k}[m{i}-cpu-eager]" for k in ("eval", "train") for i in range(6)])
_texts = st.text(st.characters(codec="utf-8", categories=["L", "N", "P", "S", "Zs"]), max_size=20)
_headers = st.builds(
    Header, machine=st.none() | _texts, date=st.none() | _texts, threads=st.none() | st.integers(1, 64)
)


@st.composite
def _layouts(draw: st.DrawFn) -> tuple[str, dict[str, list[str]]]:
    """A text as people write it, and each entry's lines."""
    lines: list[str] = draw(st.sampled_from([[], ["# é top"], ["---"]]))[:]
    owned: dict[str, list[str]] = {}
    for name in draw(st.lists(_names, min_size=1, unique=True)):
        entry = draw(_entries)
        fields = {f: getattr(entry, f) for f in draw(st.permutations(Entry.__struct_fields__))}
        present = [f"{field}: {value!r}" for field, value in fields.items() if value is not None]
        comment = draw(st.sampled_from(["", "  # 𝄞 a", " "]))
        if draw(st.booleans()):
            own = [f"{name}: {{{', '.join(present)}}}{comment}"]
        else:
            indent = " " * draw(st.integers(1, 4))
            own = [f"{name}:{comment}", *(f"{indent}{one}{comment}" for one in present)]
        owned[name] = own
        lines += own + draw(st.sampled_from([[], [""], ["# group"]]))
    end = draw(st.sampled_from(["\n", "\r\n"]))
    return end.join(lines) + draw(st.sampled_from(["", end])), owned


@settings(max_examples=200, deadline=None)
@given(_layouts(), st.dictionaries(_names, _entries, max_size=5), st.none() | _headers)
def test_any_change_is_made_and_nothing_else(
    layout: tuple[str, dict[str, list[str]]], changes: dict[str, Entry], header: Header | None
) -> None:
    text, owned = layout
    before = ref.parse(text, "r")
    result = ref.updated_text(text, changes, header)
    after = ref.parse(result, "r")
    assert after.header == (
        header and Header(machine=_one_line(header.machine), date=_one_line(header.date), threads=header.threads)
    )
    for name, entry in {**before.tests, **changes}.items():
        kept = before.tests[name].threshold if name in before.tests and entry.threshold is None else entry.threshold
        assert after.tests[name] == Entry(entry.norm, entry.spread, entry.launches, kept)
    end = "\r\n" if "\r\n" in text else "\n"
    for name in owned.keys() - changes.keys():
        assert end.join(owned[name]) in result
    assert [line for line in result.split(end) if line.startswith("#")] == [
        line for line in text.split(end) if line.startswith("#")
    ]
    assert [name for name in after.tests if name in before.tests] == list(before.tests)
    added = [name for name in after.tests if name not in before.tests]
    assert added == sorted(added) == list(after.tests)[len(before.tests) :]
    assert ref.updated_text(result, changes, header) == result


def _one_line(text: str | None) -> str | None:
    return None if text is None else " ".join(text.split())


@pytest.mark.parametrize(
    ("name", "entry", "words"),
    [
        (A, Entry(math.nan), "norm of"),
        (A, Entry(0.0), "norm of"),
        (A, Entry(True), "norm of"),
        (A, Entry(1.0, -1.0), "spread of"),
        (A, Entry(1.0, 0.1, 0), "launches of"),
        (A, Entry(1.0, threshold=7.0), "threshold of"),
        ("alexnet", Entry(1.0), "'alexnet' is not the name of a test"),
    ],
)
def test_bad_entries_do_not_get_into_a_file(name: str, entry: Entry, words: str) -> None:
    with pytest.raises(UserError, match=words):
        ref.updated_text(None, {name: entry}, None)


# from a run


def test_entries_from_a_sound_run() -> None:
    entries = ref.entries_from_measured(
        [Measured(A, 0.123456789012, 0.0123456, 12, "pass"), Measured(B, 1, None, 1, "pass")]
    )
    assert entries == {A: Entry(0.123456789012, 0.01235, 12), B: Entry(1.0, None, 1)}
    assert ref.parse(ref.updated_text(None, entries, None), "r").tests == entries


def test_a_run_with_failed_tests_cannot_become_a_reference() -> None:
    measured = [
        Measured(f"test_eval[m{i}-cpu-eager]", 1.0, 0.1, 3, "inconclusive" if i < 7 else "pass") for i in range(9)
    ]
    with pytest.raises(UserError, match="7 of 9 tests of the run did not pass") as caught:
        ref.entries_from_measured(measured)
    assert "test_eval[m4-cpu-eager] (inconclusive) and 2 more" in str(caught.value)
    assert "m5" not in str(caught.value)


@pytest.mark.parametrize(
    ("measured", "words"),
    [
        ([], "measured no test"),
        ([Measured(A, 1.0, None, 1, "pass")] * 2, "stands twice"),
        ([Measured(A, math.nan, None, 1, "pass")], "norm of"),
        ([Measured(A, 0.0, None, 1, "pass")], "norm of"),
        ([Measured(A, 1.0, math.inf, 1, "pass")], "spread of"),
    ],
)
def test_figures_of_a_run_are_checked(measured: list[Measured], words: str) -> None:
    with pytest.raises(UserError, match=words):
        ref.entries_from_measured(measured)


# differences


def test_diff_names_what_became_of_each_test() -> None:
    old = ref.Reference("old", {A: Entry(1.0), B: Entry(2.0, 0.1), C: Entry(3.0)})
    new = ref.Reference("new", {"test_eval[z-cpu-eager]": Entry(1.0), B: Entry(2.5, 0.1), C: Entry(3.0)})
    changes = {change.test: (change.kind, change.change) for change in ref.diff(old, new)}
    assert changes == {
        A: ("removed", None),
        B: ("changed", pytest.approx(0.25)),
        "test_eval[z-cpu-eager]": ("added", None),
    }
    assert ref.diff(old, old) == []
    (thresholds,) = ref.diff(old, ref.Reference("new", {**old.tests, C: Entry(3.0, threshold=0.2)}))
    assert (thresholds.kind, thresholds.change) == ("changed", 0.0)


def test_diff_text_is_minimal_and_names_the_test() -> None:
    new = ref.updated_text(HAND_MADE, {A: Entry(0.006), C: Entry(1.5, launches=3)}, None)
    assert (
        ref.diff_text(HAND_MADE, new, "reference/r.yaml")
        == f"""\
--- a/reference/r.yaml
+++ b/reference/r.yaml
@@ -8,3 +8,3 @@ {A}:
 {A}:
-    norm:   0.00500   # from run 12
+    norm:   0.006   # from run 12
     threshold: 0.15
@@ -15,2 +15,3 @@ '{C}':
   norm: 1.5
+  launches: 3
 # the end
"""
    )
    assert ref.diff_text(HAND_MADE, HAND_MADE, "r") == ""
    assert ref.diff_text("", ENTRY, "r").count("\n+") == 3


# writing


def test_a_file_is_written_whole_and_keeps_its_mode(tmp_path: Path) -> None:
    path = tmp_path / "r.yaml"
    ref.write(path, "a\r\nü\n")
    assert path.read_bytes() == "a\r\nü\n".encode()
    path.chmod(0o640)
    link = tmp_path / "link.yaml"
    link.symlink_to(path)
    ref.write(link, "b\n")
    assert link.is_symlink()
    assert path.read_text() == "b\n"
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert {one.name for one in tmp_path.iterdir()} == {"link.yaml", "r.yaml"}


def test_what_cannot_be_written_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for path in (tmp_path, tmp_path / "absent" / "r.yaml"):
        with pytest.raises(UserError, match=r"may be written|cannot be written"):
            ref.write(path, "a")
    path = tmp_path / "r.yaml"
    path.write_text("old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    # A full disk cannot be had in a test without privileges; the rest of the path is real.
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match="No space left on device"):
        ref.write(path, "new")
    assert path.read_text() == "old"
    assert [one.name for one in tmp_path.iterdir()] == ["r.yaml"]
