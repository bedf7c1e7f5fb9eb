from hptransfer.report import charts, html_figures


def test_a_choice_and_a_filter_escape_their_values() -> None:
    choice = html_figures.choice("probe", "probe", ["a<b", "c"], 1)
    assert '<option value="0">a&lt;b</option><option value="1" selected>c</option>' in choice
    assert html_figures.filter_by("rule", "rule", ["x", "x", ""]) == ""
    assert '<option value="&quot;">' in html_figures.filter_by("rule", "rule", ['"', "x"])
    assert html_figures.controls("heat", "").startswith('<form class="controls" data-for="heat">')


def test_a_plot_names_its_figure_panel_and_label() -> None:
    assert html_figures.plot("basins", 'a "b"', 2) == (
        '<div class="plot" role="img" data-figure="basins" data-panel="2" aria-label="a &quot;b&quot;"></div>'
    )
    assert "data-panel" not in html_figures.plot("heat", "x")


def test_the_key_draws_symbols_and_escapes_labels() -> None:
    items = (
        charts.KeyItem("<i>"),
        charts.KeyItem("32", "#112233", "circle", 1.6),
        charts.KeyItem("diverged", "#445566", "cross"),
    )
    text = html_figures.key(items)
    assert "<li>&lt;i&gt;</li>" in text
    assert text.count("<svg") == 2
    assert 'fill="#112233"' in text
    assert text.count('d="M0 5H18"') == 1  # a cross has no line


def test_filters_hold_what_every_variant_is_chosen_by() -> None:
    assert html_figures.filters("phase", "", {"a": {}}) == ""
    text = html_figures.filters("phase", "<label>", {'"': {"rule": "<"}})
    assert (
        'data-filters="phase" data-tags="{&quot;\\&quot;&quot;: {&quot;rule&quot;: &quot;&lt;&quot;}}"'
        in text
    )
