"""A verdict may be written by the code that it judges: nothing in it may act on GitHub, in a browser or a terminal."""

import html.parser
import re
import unicodedata

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markupsafe import Markup

from bot import report
from bot.explanation import OperatorChange
from bot.report import escaping, markdown
from bot.verdict import OUTCOMES, Input, LaneSamples, Mover, ScoreVerdict, Speedup, Verdict
from bot.verdict import TestVerdict as Entry
from harness.records import Build, Machine, Plan
from tests.bot import verdicts

NASTY = (
    "@octocat",
    "@github/security",
    "<!-- torchwarden:report 9819110ee4a2d707 -->",
    "<script>alert(1)</script>",
    "<img src=https://evil.example/x onerror=alert(1)>",
    "</code></pre></details>",
    "![x](https://evil.example/x.png)",
    "[click](javascript:alert(1))",
    "https://evil.example www.evil.example a@evil.example",
    "#1 GH-1 octo/repo#1",
    "`" * 5,
    "| a | b |",
    "\n\n# heading\n\n- item\n\n---\n\n",
    "\n```\nfence\n```\n",
    "&lt;b&gt; &#64;octocat &commat;octocat",
    "\\@octocat \\| \\`",
    "$`x`$ $$y$$",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202egnp.exe\u2066\u200b\u200d\ufeff",
    "e" + "\u0301" * 500,
    "W" * 5000,
    "{{ 7 * 7 }}{% raw %}",
    "[bold red]markup[/bold red]",
    '" onload="alert(1)',
    "</svg></text><script>",
)

hostile = st.one_of(
    st.sampled_from(NASTY),
    st.text(max_size=60),
    st.lists(st.sampled_from(NASTY) | st.text(max_size=20), max_size=6).map("".join),
)
finite = st.floats(allow_nan=False, allow_infinity=False)
figure = st.none() | finite
fields = st.dictionaries(hostile, st.floats(allow_nan=False, allow_infinity=False), max_size=4)


@st.composite
def entries(draw):
    samples = st.lists(
        st.builds(
            LaneSamples,
            lane=hostile,
            launches=st.lists(st.lists(st.floats(1e-6, 10), max_size=3).map(tuple), max_size=2).map(tuple),
        ),
        max_size=2,
    )
    return Entry(
        test=draw(hostile | hostile.map(lambda model: f"test_eval[{model}-cpu-eager]")),
        lane=draw(hostile),
        outcome=draw(st.sampled_from(OUTCOMES)),
        against=draw(hostile | st.just("reference")),
        reason=draw(hostile),
        change=draw(figure),
        low=draw(figure),
        high=draw(figure),
        base_seconds=draw(figure),
        head_seconds=draw(figure),
        q_value=draw(figure),
        detectable=draw(figure),
        samples=tuple(draw(samples)),
        phases=draw(fields),
        base_figures=draw(fields),
        head_figures=draw(fields),
        stopped=draw(hostile),
        stderr=draw(hostile),
        warnings=tuple(draw(st.lists(hostile, max_size=2))),
        explanation=tuple(draw(st.lists(hostile, max_size=7))),
        operators=tuple(
            OperatorChange(
                name=draw(hostile),
                base_seconds=draw(finite),
                head_seconds=draw(finite),
                half_width=draw(finite),
                stands_out=draw(st.booleans()),
                share=draw(figure),
                base_calls=draw(finite),
            )
            for _ in range(draw(st.integers(0, 2)))
        ),
    )


@st.composite
def hostile_verdicts(draw) -> Verdict:
    names = tuple(draw(st.lists(hostile, min_size=1, max_size=3)))
    builds = tuple(
        Build(
            name=name,
            python=name,
            python_version=draw(hostile),
            torch_version=draw(hostile),
            torch_git_version=draw(hostile),
            packages={draw(hostile): draw(hostile)},
            libraries={draw(hostile): draw(hostile)},
            fingerprint=draw(hostile),
        )
        for name in names
    )
    tests = draw(st.lists(entries(), max_size=5))
    score = ScoreVerdict(
        value=draw(st.floats(allow_nan=False)),
        low=draw(figure),
        high=draw(figure),
        coverage=0.5,
        outcome=draw(st.sampled_from(OUTCOMES)),
        threshold=0.01,
        subscores={draw(hostile): draw(figure)},
        movers=(Mover(test=draw(hostile), weight=0.1, points=draw(st.floats(allow_nan=False))),),
        against=draw(hostile),
        warnings=names,
    )
    speedup = Speedup(
        test=draw(hostile),
        lane=draw(hostile),
        against=draw(hostile),
        ratio=draw(st.floats(allow_nan=False)),
        low=draw(figure),
        high=draw(figure),
        against_seconds=1.0,
        seconds=draw(st.floats(allow_nan=False)),
    )
    return verdicts.verdict(
        tests,
        outcome=draw(st.sampled_from(("regressed", "improved", "unchanged", "inconclusive"))),
        tool_version=draw(hostile),
        run=draw(hostile),
        started=draw(hostile),
        inputs=(Input(name=draw(hostile), kind=draw(st.sampled_from(("run", "reference"))), sha256=draw(hostile)),),
        machine=Machine(
            name=draw(hostile),
            fingerprint="",
            system=draw(hostile),
            architecture=draw(hostile),
            cpu_model=draw(hostile),
            cores=1,
            memory_bytes=1,
            gpus=names,
        ),
        builds=builds,
        plan=Plan(
            suites=names,
            tests=(),
            types=names,
            modes=names,
            head=names[0],
            base=draw(st.none() | hostile),
            device=draw(hostile),
            allocator=draw(hostile),
            inject=draw(st.dictionaries(hostile, st.floats(0, 1), max_size=2)),
        ),
        score=draw(st.sampled_from((None, score))),
        speedups=draw(st.sampled_from(((), (speedup,)))),
        reproduce=draw(hostile),
        warnings=tuple(draw(st.lists(hostile, max_size=3))),
    )


class Seen(html.parser.HTMLParser):
    """Tags with their attributes, comments, and the text that is neither code nor preformatted."""

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self.comments, self.prose, self.text, self._code = [], [], [], [], 0
        self.feed(source)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        self._code += tag in ("code", "pre")

    def handle_endtag(self, tag):
        self._code -= tag in ("code", "pre")

    def handle_comment(self, data):
        self.comments.append(data)

    def handle_data(self, data):
        self.text.append(data)
        if not self._code:
            self.prose.append(data)


OURS = {
    "h3",
    "p",
    "strong",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "details",
    "summary",
    "ul",
    "li",
    "code",
    "pre",
}
# Formatting characters of our own: the joiner that breaks mentions.
SAFE_FORMAT = {escaping.WORD_JOINER}


def assert_inert_markdown(body: str, limit: int, markers: int) -> None:
    assert len(body.encode()) <= limit
    assert body.count("<!--") == markers
    assert body.count(markdown.MARKER) == markers
    seen = Seen(MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"]).render(body))
    assert {tag for tag, _ in seen.tags} <= OURS
    assert {name for _, attributes in seen.tags for name in attributes} <= {"open", "style"}
    assert len(seen.comments) == markers
    prose = "".join(seen.prose)
    assert not re.search(r"(?<!\w)@\w", prose)
    assert not re.search(r"(?<!\w)@\w", body), "a mention for whoever reads only the source"
    assert not re.search(r"(?i)https?://|\bwww\.\w|(?<!\w)#\d|\bgh-\d", prose)
    assert_visible(body)


def assert_visible(text: str) -> None:
    odd = {character for character in text if unicodedata.category(character) in ("Cc", "Cf", "Cs", "Co", "Cn")}
    assert odd <= SAFE_FORMAT | {"\n"}


@settings(max_examples=150, deadline=None)
@given(hostile_verdicts())
def test_nothing_hostile_acts_in_a_comment_or_summary(verdict):
    assert_inert_markdown(report.render(verdict, "comment"), markdown.COMMENT_BYTES, markers=1)
    assert_inert_markdown(report.render(verdict, "summary"), markdown.SUMMARY_BYTES, markers=0)


@settings(max_examples=80, deadline=None)
@given(hostile_verdicts())
def test_nothing_hostile_acts_in_a_terminal(verdict):
    assert_visible(report.render(verdict, "terminal"))


@settings(max_examples=25, deadline=None)
@given(hostile_verdicts())
def test_nothing_hostile_acts_in_the_page(verdict):
    pytest.importorskip("altair", reason="the page needs the extra `site`")
    page = report.render(verdict, "html")
    seen = Seen(page)
    assert not {tag for tag, _ in seen.tags} & {"script", "img", "iframe", "object", "embed", "a", "form", "base", "b2"}
    for tag, attributes in seen.tags:
        assert not any(name.startswith("on") for name in attributes), tag
        assert all(attributes.get(name, "").startswith("data:") for name in ("src", "href") if name in attributes)
    assert not seen.comments
    assert sum(tag == "html" for tag, _ in seen.tags) == 1
    assert_visible(page)


@pytest.mark.parametrize("text", NASTY)
def test_every_nasty_text_alone_in_every_form(text):
    for form in (escaping.code, escaping.text, escaping.block):
        source = f"| a |\n|--|\n| {form(text)} |\n" if form is not escaping.block else f"{form(text)}\n"
        assert_inert_markdown(source, 10_000, markers=0)


def test_the_worst_verdict_still_fits():
    long = "<|`@x" * 2000
    entry = Entry(
        test=long,
        lane=long,
        outcome="regressed",
        change=0.1,
        low=0.05,
        high=0.15,
        reason=long,
        stderr=long,
        head_figures={long + str(n): 1e300 for n in range(50)},
        warnings=(long,) * 50,
    )
    tests = [msgspec.structs.replace(entry, outcome=outcome) for outcome in OUTCOMES for _ in range(60)]
    verdict = verdicts.verdict(
        tests, outcome="regressed", warnings=(long,) * 1000, reproduce=long, run=long, started=long, tool_version=long
    )
    body = report.render(verdict, "comment")
    assert_inert_markdown(body, markdown.COMMENT_BYTES, markers=1)
    assert "Cut to fit 65,536 bytes" in body
    summary = report.render(verdict, "summary")
    assert_inert_markdown(summary, markdown.SUMMARY_BYTES, markers=0)


def test_harmless_names_stay_as_they_are():
    assert escaping.code("test_train[BERT_pytorch-cuda-inductor]") == "`test_train[BERT_pytorch-cuda-inductor]`"
    assert escaping.code("eager@base") == "`eager@base`"
    assert escaping.text("+8.2 % ± 0.9, q < 0.0001") == "+8.2 % ± 0.9, q < 0.0001"
    assert escaping.clean("Größe 日本語 🙂") == "Größe 日本語 🙂"


def test_long_texts_are_cut_where_it_shows():
    assert escaping.clean("x " * 500, 50).endswith("…") and len(escaping.clean("x " * 500, 50)) <= 50
    word = escaping.clean("a" * 100 + "b" * 100, 150)
    assert len(word) <= escaping.LONGEST_WORD and "…" in word and word.startswith("a") and word.endswith("b")
    assert escaping.block("first\n" + "x\n" * 5000 + "last", 100, tail=True).endswith("last\n</pre>")


def test_code_and_text_are_marked_safe_for_the_template_and_clean_is_not():
    assert isinstance(escaping.code("x"), Markup) and isinstance(escaping.text("x"), Markup)
    assert not isinstance(escaping.clean("x"), Markup)
