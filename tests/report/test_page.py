from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from hptransfer.errors import HPTransferError
from hptransfer.fit import TransferFit
from hptransfer.report import page as page_module
from hptransfer.sweep.table import Columns, Source

EVIL = ("<script>alert(1)</script>", "a\" onload='x", "</script><img src=x>", "&amp;<b>")


class _Reader(HTMLParser):
    """Tags in order, text outside scripts and styles, and whether tags close in order."""

    VOID = frozenset({"meta", "link", "path", "circle", "br", "wbr", "img"})

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if not {"script", "style"} & set(self.open):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join("".join(self.words).split())


@pytest.fixture(autouse=True)
def _without_plotlyjs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """A megabyte and a half of plotly.js are read where a browser runs them, and nowhere else."""
    if "browser" not in request.keywords:
        monkeypatch.setattr(page_module, "_plotly", lambda: "/* plotly.js */")


def _read(page: str) -> _Reader:
    reader = _Reader()
    reader.feed(page)
    reader.close()
    assert reader.open == []
    return reader


def test_the_answer_comes_first(fit: TransferFit) -> None:
    text = _read(page_module.page(fit)).text
    assert text.startswith("Does lr carry over width? Does lr carry over width?")  # <title>, then <h1>
    order = [
        text.index(part)
        for part in (
            "Keep the small models' value: mup. Do not keep the value; follow its law: sp+embd.",
            "0.00033",
            "Loss against lr at each width",
            "Optimal lr against width",
            "Metrics",
            "Hold-out check",
            "Cost of keeping the optimum",
            "Optimum at each width",
            "Glossary",
            "Where this came from",
        )
    ]
    assert order == sorted(order)


def test_the_page_says_what_the_terminal_says(fit: TransferFit) -> None:
    text = _read(page_module.page(fit)).text
    for part in (
        "−1.20",
        "[−1.26, −1.14]",
        "2.2e-5",
        "[0.00019, 0.00027]",
        "−0.31",
        "NO",
        "2−12.19",
        "0.112 nats",
    ):
        assert part in text, part
    assert "0.00021?" in text  # a guess: sp may do neither
    assert "the law predicts the optimum there 0.31 octaves too low; its interval does not hold it" in text


def test_provenance_is_complete(fit: TransferFit) -> None:
    text = _read(page_module.page(fit)).text
    source = fit.sweep.source
    for part in (
        source.path,
        source.sha256,
        fit.version,
        "126b212",
        "5d41402abc4b2a76",
        "2 cores",
        "0, 1",
        "1000",
    ):
        assert str(part) in text


def test_every_column_head_is_explained(fit: TransferFit) -> None:
    reader = _read(page_module.page(fit))
    ids = {attrs["id"] for _, attrs in reader.tags if "id" in attrs}
    links = [attrs for tag, attrs in reader.tags if tag == "a"]
    assert len(links) > 30
    for attrs in links:
        assert str(attrs["href"]).removeprefix("#") in ids
    heads = [attrs for attrs in links if "title" in attrs]
    assert all(len(str(attrs["title"])) > 20 for attrs in heads)
    assert len({attrs["title"] for attrs in heads}) >= 18


def test_nothing_outside_the_page_is_named(fit: TransferFit) -> None:
    page = page_module.page(fit)
    for tag, attrs in _read(page).tags:
        for name in ("src", "href", "data", "action"):
            value = attrs.get(name) or ""
            assert value.startswith(("#", "data:")) or not value, (tag, value)
    assert "url(" not in page
    assert "@import" not in page
    assert "default-src 'none'" in page


def test_names_of_the_user_are_text_everywhere(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(EVIL)
    columns = Columns(scale="<i>w", hp="lr</h2>", loss="<u>", variant='v"')
    sweep = replace(fit.sweep, columns=columns, source=Source("<p>.csv", None), notes=("<hr>",))
    page = page_module.page(replace(fit, sweep=sweep, provenance={"<k>": {"<n>": "<v>"}}), title="<h1>&")
    reader = _read(page)
    for name in (*EVIL, "<i>w", "lr</h2>", "<p>.csv", "<hr>", "<k>.<n>", "<v>", "<h1>&"):
        assert " ".join(name.split()) in reader.text, name
    assert {tag for tag, _ in reader.tags}.isdisjoint({"img", "i", "u", "hr", "k", "n", "v"})
    assert [tag for tag, _ in reader.tags].count("script") == 3


def test_thin_data_says_why(thin_fit: TransferFit) -> None:
    text = _read(page_module.page(thin_fit)).text
    assert "No law: too few scales with a usable optimum for a law (1 usable scale, a law needs 3)." in text
    assert "There is no prediction at width 1,024: too few scales" in text
    assert "Not done: it needs a law that stands without the largest scale." in text
    assert "It needs optima at two scales" in text
    assert "nan" not in text.lower()


def test_no_target_no_flag_no_law_is_still_a_page(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(("all",), targets=())
    bare = replace(fit.variants["all"], flags=(), laws={}, metrics={}, holdouts=(), regret=())
    text = _read(page_module.page(replace(fit, variants={"all": bare}))).text
    assert "No target was asked for: name one" in text
    assert "other variants" not in text


def test_many_variants_are_cut_and_counted(make_fit: Callable[..., TransferFit]) -> None:
    fit = make_fit(("a",))
    variants = {f"v{i}": replace(fit.variants["a"], name=f"v{i}") for i in range(300)}
    sweep = replace(fit.sweep, variant=[f"v{i % 300}" for i in range(len(fit.sweep))])
    reader = _read(page_module.page(replace(fit, variants=variants, sweep=sweep)))
    assert sum("data-figure" in attrs for _, attrs in reader.tags) == 1 + 3 * 24
    assert "The first 24 of 300 variants are drawn" in reader.text
    assert "The first 200 of 300 variants are listed" in reader.text


def test_the_page_carries_plotly_with_its_licence(fit: TransferFit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    text = page_module.page(fit)
    script = page_module._plotly()
    assert script in text
    assert "Plotly, Inc." in script[:200]
    assert "MIT license" in script[:200]
    assert "</script" not in script


def test_unwritable_file_is_one_line(fit: TransferFit, tmp_path: Path) -> None:
    with pytest.raises(HPTransferError, match="writable file, but") as caught:
        page_module.write_html(fit, tmp_path)
    assert "\n" not in str(caught.value)
