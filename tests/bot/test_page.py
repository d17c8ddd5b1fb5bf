"""The page of a verdict: what its source promises, and what a browser makes of it."""

import html.parser
import importlib
import pathlib
import re
import sys

import pytest

from bot import report
from tests.bot import verdicts

pytest.importorskip("altair", reason="the page needs the extra `site`")
pytest.importorskip("vl_convert", reason="the page needs the extra `site`")

CHROMIUM = pathlib.Path("/usr/bin/chromium")


class Source(html.parser.HTMLParser):
    """Tags with their attributes; complains about a tag that is not closed in order."""

    VOID = frozenset({"meta", "link", "br", "path", "line", "rect"})

    def __init__(self, source: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags, self._open = [], []
        self.feed(source)
        self.close()
        assert not self._open

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self._open.pop() == tag


@pytest.fixture(scope="module")
def page() -> str:
    return report.render(verdicts.mixed(), "html")


@pytest.mark.parametrize(
    "make", [verdicts.mixed, verdicts.clean, verdicts.same_build, verdicts.single, verdicts.verdict]
)
def test_the_source_is_well_formed_and_asks_for_nothing(make):
    source = report.render(make(), "html")
    seen = Source(source)
    addresses = [value for _, attributes in seen.tags for name, value in attributes.items() if name in ("src", "href")]
    assert addresses == ["data:,"]
    assert "http://" not in source and "https://" not in source and "url(" not in source and "@import" not in source
    assert not any(tag == "script" for tag, _ in seen.tags)
    assert "None" not in re.sub(r"<[^>]*>", "", source) and "nan" not in re.findall(r'd="([^"]*)"', source)


def test_everything_is_labelled(page):
    tags = Source(page).tags
    tables = sum(tag == "table" for tag, _ in tags)
    assert tables == sum(tag == "caption" for tag, _ in tags) > 0
    assert all(attributes.get("aria-label") for tag, attributes in tags if tag == "figure")
    assert all(attributes.get("aria-hidden") == "true" for tag, attributes in tags if tag == "svg")
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in tags if tag == "th")
    assert dict(tags[[tag for tag, _ in tags].index("html")][1])["lang"] == "en"
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_every_colour_of_a_plot_is_known_to_the_style_sheet(page):
    plots = importlib.import_module("bot.report.plots")
    drawings = re.findall(r"<svg.*?</svg>", page, flags=re.DOTALL)
    colours = {colour for svg in drawings for colour in re.findall(r'(?:fill|stroke)="([^"]*)"', svg)}
    assert colours - {"none", "transparent"} <= set(plots.PALETTE.values())
    assert {plots.PALETTE[name] for name in ("slower", "faster", "undecided", "unchanged", "base", "head")} <= colours
    assert len(set(plots.PALETTE.values())) == len(plots.PALETTE)


def test_signals_and_undecided_tests_have_their_plots_and_the_page_stays_small(page):
    # Two forests (wide and narrow), and two plots for each of two slower, one faster and two undecided tests.
    assert page.count("<svg") == 2 + 2 * 5
    assert len(page) < 300_000


def test_plots_without_raw_samples_fall_back_to_medians_and_to_a_sentence():
    entry = verdicts.entry("test_eval[a-cpu-eager]", "regressed", 0.1, samples=())
    source = report.render(verdicts.verdict([entry], outcome="regressed"), "html")
    assert source.count("<svg") == 4 and "medians of launches" in source
    bare = verdicts.entry("test_eval[a-cpu-eager]", "regressed", 0.1, samples=(), launches=0)
    source = report.render(verdicts.verdict([bare], outcome="regressed"), "html")
    assert source.count("<svg") == 2 and "No samples were kept" in source


def test_many_tests_are_all_listed_though_not_all_drawn():
    tests = [verdicts.entry(f"test_eval[m{n}-cpu-eager]", launches=0) for n in range(150)]
    source = report.render(verdicts.verdict(tests), "html")
    assert "30 more tests unchanged, not drawn" in source
    assert source.count('<tr><th scope="row">test_eval[m') == 150


def test_an_absurd_change_does_not_squash_the_plot():
    plots = importlib.import_module("bot.report.plots")
    entries = [verdicts.entry("test_eval[a-cpu-eager]", "regressed", 12.0, 0.5), verdicts.clean().tests[0]]
    low, high = plots._domain(entries)
    assert (low, high) == (pytest.approx(-8.75), pytest.approx(21.0))
    assert plots._forest_row(entries[0], "a", low, high)["shape"] == "triangle-right"


def test_a_name_in_a_plot_is_text():
    plots = importlib.import_module("bot.report.plots")
    svg = plots.forest([verdicts.entry("test_eval[<script>\"'&1.23456-cpu-eager]", "regressed", 0.1)])
    assert "<script" not in svg and "1.23456" in svg
    Source(svg)


def test_without_the_extra_the_error_names_it_and_other_reports_work(monkeypatch):
    monkeypatch.delitem(sys.modules, "bot.report.plots", raising=False)
    monkeypatch.delattr("bot.report.plots", raising=False)
    monkeypatch.setitem(sys.modules, "altair", None)
    from harness.errors import UserError

    with pytest.raises(UserError, match=r"need altair; .*pip install 'torchwarden\[site\]'"):
        report.render(verdicts.clean(), "html")
    assert report.render(verdicts.clean(), "comment") and report.render(verdicts.clean(), "terminal")


# In a browser


@pytest.fixture(scope="module")
def chromium():
    if not CHROMIUM.exists():
        pytest.skip(f"{CHROMIUM} is missing; install Debian's package chromium (make apt)")
    api = pytest.importorskip("playwright.sync_api", reason="playwright is missing; install the extra `test`")
    arguments = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=str(CHROMIUM), args=arguments)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def address(page, tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("page") / "report.html"
    path.write_text(page, encoding="utf-8")
    return path.as_uri()


def opened(chromium, address, width=1200, scheme="light", script=True):
    context = chromium.new_context(
        viewport={"width": width, "height": 900}, color_scheme=scheme, java_script_enabled=script
    )
    view = context.new_page()
    view.said, view.asked = [], []
    view.on("console", lambda message: view.said.append(message.text))
    view.on("pageerror", lambda error: view.said.append(str(error)))
    view.on("request", lambda request: view.asked.append(request.url))
    view.goto(address)
    return view


CONTRAST = """
() => {
  const level = c => { c /= 255; return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4; };
  const light = ([r, g, b]) => 0.2126 * level(r) + 0.7152 * level(g) + 0.0722 * level(b);
  const parse = text => { const n = text.match(/[\\d.]+/g).map(Number); return n.length > 3 && n[3] === 0 ? null : n; };
  const behind = node => {
    for (; node; node = node.parentElement) {
      const colour = parse(getComputedStyle(node).backgroundColor);
      if (colour) return colour;
    }
    return [255, 255, 255];
  };
  const ratio = (a, b) => (Math.max(light(a), light(b)) + 0.05) / (Math.min(light(a), light(b)) + 0.05);
  const found = [];
  for (const node of document.querySelectorAll("body *")) {
    const box = node.getBoundingClientRect();
    if (!box.width || ![...node.childNodes].some(child => child.nodeType === 3 && child.data.trim())) continue;
    const style = getComputedStyle(node);
    const colour = parse(node.namespaceURI.endsWith("svg") ? style.fill : style.color);
    found.push([ratio(colour, behind(node)), node.textContent.trim().slice(0, 40)]);
  }
  return found;
}
"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1200])
def test_the_page_opens_from_a_file_without_errors_or_requests(chromium, address, width, scheme):
    view = opened(chromium, address, width, scheme)
    assert view.said == []
    assert [url for url in view.asked if not url.startswith("data:")] == [address]
    assert view.evaluate("document.documentElement.scrollWidth <= window.innerWidth"), "scrolls sideways"
    view.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(chromium, address, scheme):
    view = opened(chromium, address, scheme=scheme)
    found = view.evaluate(CONTRAST)
    assert len(found) > 100
    assert [(round(ratio, 2), text) for ratio, text in found if ratio < 4.5] == []
    background = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 3 * 60) == (scheme == "dark")
    view.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_all_tests_are_listed_without_script(chromium, address, width):
    view = opened(chromium, address, width, script=False)
    names = view.locator("#tests tbody th").all_inner_texts()
    assert sorted(names) == sorted(entry.test for entry in verdicts.mixed().tests)
    visible = view.locator(".plot svg:visible")
    assert visible.count() == 1 + 2 * 5, "one of the two forests, and both plots of each signal"
    assert "2 of 16 tests are slower" in view.locator("h1").inner_text()
    view.context.close()


@pytest.mark.browser
@pytest.mark.parametrize("width", [390, 1200])
def test_no_two_texts_of_a_plot_overlap_and_none_is_cut(chromium, address, width):
    view = opened(chromium, address, width)
    problems = view.evaluate(
        """() => {
          const found = [];
          for (const svg of document.querySelectorAll(".plot svg")) {
            const frame = svg.getBoundingClientRect();
            if (!frame.width) continue;
            const texts = [...svg.querySelectorAll("text")].filter(text => text.textContent.trim())
              .map(text => [text.textContent, text.getBoundingClientRect()]);
            texts.forEach(([name, box], index) => {
              if (box.left < frame.left - 20 || box.right > window.innerWidth) found.push("cut: " + name);
              for (const [other, place] of texts.slice(index + 1)) {
                const wide = Math.min(box.right, place.right) - Math.max(box.left, place.left);
                const high = Math.min(box.bottom, place.bottom) - Math.max(box.top, place.top);
                if (wide > 1 && high > 3) found.push(name + " | " + other);
              }
            });
          }
          return found;
        }"""
    )
    assert problems == []
    view.context.close()
