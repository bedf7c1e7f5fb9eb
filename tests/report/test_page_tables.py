import re
from dataclasses import replace

from hptransfer.fit import TransferFit
from hptransfer.report import page_tables


def test_costs_stand_in_a_triangle_for_each_variant(fit: TransferFit) -> None:
    text = page_tables.tables(fit, list(fit.variants.values()))
    triangles = text.split('class="triangles"')[1].split("</section>")[0]
    assert triangles.count("<table>") == 3
    assert triangles.count(">from 32<") == 3
    assert triangles.count("<td></td>") == 3 * (1 + 6)  # the corner, and none from larger scales to smaller


def test_metrics_fit_a_page_of_paper(fit: TransferFit) -> None:
    variants = list(fit.variants.values())
    text = page_tables.tables(fit, variants).split("Hold-out check")[0]
    heads = text.split("<thead>")[1].split("</thead>")[0]
    assert heads.count("<th") <= 1 + 7 + 1
    assert text.count("<svg") == 3 * 7


def test_every_flag_that_was_raised_is_explained_once(fit: TransferFit) -> None:
    text = page_tables.flag_list(fit, list(fit.variants.values()))
    assert text.count("<dt>one_seed</dt>") == 1
    assert "R(inf) of sp+embd" in text
    quiet = replace(fit.variants["mup"], flags=(), predictions=())
    assert page_tables.flag_list(fit, [quiet]) == ""


def test_every_column_is_in_the_glossary(fit: TransferFit) -> None:
    text = page_tables.definitions(fit)
    for title in ("drift (SP)", "covered", "cost", "diverged", "95% interval"):
        assert f">{title}</dt>" in text


def test_the_command_and_the_date_are_told_without_passwords(fit: TransferFit, monkeypatch) -> None:
    address = "optuna:postgresql://me:secret@host/db#study"
    monkeypatch.setattr("sys.argv", ["/usr/bin/hptransfer", "fit", address, "--html", "a b.html"])
    text = page_tables.provenance(fit)
    assert "<dt>command</dt><dd><code>hptransfer fit" in text
    assert "//***@host/db#study" in text
    assert "secret" not in text
    assert re.search(r"<dt>written</dt><dd><code>20\d\d-\d\d-\d\d \d\d:\d\d UTC</code>", text)
    monkeypatch.setattr("sys.argv", ["script.py"])
    assert "<dt>command</dt>" not in page_tables.provenance(fit)


def test_settings_are_dotted_and_what_is_not_known_is_left_out(fit: TransferFit) -> None:
    changed = replace(fit, provenance={"git": {"commit": "126b212", "dirty": None}, "seeds": []})
    text = page_tables.provenance(changed)
    assert "<dt>git.commit</dt><dd><code>126b212</code>" in text
    assert "git.dirty" not in text
    assert "<dt>seeds</dt><dd><code>none</code>" in text
