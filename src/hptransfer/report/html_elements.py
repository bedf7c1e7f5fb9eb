"""Pieces of the page as HTML: escaped text, typeset numbers, tables, intervals drawn in a cell."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from html import escape

from hptransfer.quantify.result import Estimate, SweepFit, VariantFit
from hptransfer.report import number_format, sentences, table_data

_SHORT_NAME = 20  # characters
_SYMBOLS = (
    (r"d2L/d ?eta2", "d²L/dη²"),
    (r"\bkappa\b", "κ"),
    (r"\balpha\b", "α"),
    (r"\bbeta\b", "β"),
    (r"\bgamma\b", "γ"),
    (r"\beta_inf\b", "η<sub>∞</sub>"),
    (r"\beta\b", "η"),
    (r"R\(inf\)", "R(∞)"),
    (r"L_inf\b", "L<sub>∞</sub>"),
    (r"\bE_hp\b", "E<sub>hp</sub>"),
    (r"\bH0\b", "H<sub>0</sub>"),
    (r"\blog2\b", "log₂"),
    (r"\bmuP\b", "μP"),
    (r"nats\^2", "nats²"),
    (r"\^-([αβγ])", r"<sup>−\1</sup>"),
    (r"\^([αβγ])", r"<sup>\1</sup>"),
    (r" - ", " − "),
)


def typeset(text: str) -> str:
    """Our own words, escaped, with their symbols set: kappa as κ, n^-beta with a raised exponent."""
    out = escape(text)
    for pattern, symbol in _SYMBOLS:
        out = re.sub(pattern, symbol, out)
    return minus(out)


def name(text: str) -> str:
    """A user's name, escaped: a short one stays on one line, a long one may break after its joints."""
    if len(text) <= _SHORT_NAME:
        return f'<span class="short">{escape(text)}</span>'
    return re.sub(r"([+_/.,:-])(?=\w)", r"\1<wbr>", escape(text))


def minus(text: str) -> str:
    """A true minus before a number; hyphens inside words and exponents of decimals stay as they are."""
    return re.sub(r"(?<![\w.])-(?=\d|inf\b)", "−", text)


def number(text: str) -> str:
    """A number or interval typeset: true minus, ∞, 2^x with a raised exponent."""
    raised = re.sub(r"2\^(-?[\d.]+)", lambda m: f"2<sup>{m[1]}</sup>", escape(text))
    out = minus(raised.replace("<sup>-", "<sup>−")).replace("inf", "∞")
    return "–" if out == number_format.MISSING else out


def anchor(text: str) -> str:
    """A name that is safe as an id and the same wherever it is used."""
    return "d-" + re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")


Draw = Callable[[Estimate], str]


def table(item: table_data.Table, drawn: Mapping[str, Draw] | None = None, *, group: bool = False) -> str:
    """A table with linked heads; empty columns of flags are left out.

    Args:
        item: the table.
        drawn: by column title, what draws an estimate's interval under its number.
        group: whether a rule parts the rows of one variant from the next, named once.
    """
    if not item.rows:
        return f'<p class="note">{typeset(item.note)}</p>'
    used = [i for i, c in enumerate(item.columns) if c.kind != "flags" or any(row[i] for row in item.rows)]
    heads = "".join(column_head(item.columns[i]) for i in used)
    lines = []
    for k, row in enumerate(item.rows):
        again = group and k > 0 and item.rows[k - 1][0] == row[0]
        cells = [_cell(item.columns[i], row[i], (drawn or {}).get(item.columns[i].title)) for i in used[1:]]
        label = "" if again else name(str(row[0]))
        first = ' class="first"' if group and not again else ""
        of = data_variant(str(row[0]))
        head = f'<th scope="row" class="l">{label}</th>' if label else '<td class="l"></td>'
        lines.append(f"<tr{first}{of}>{head}{''.join(cells)}</tr>")
    note = f'<p class="note">{typeset(item.note)}</p>' if item.note else ""
    return (
        f"{scrolled(item.title)}<table><thead><tr>{heads}</tr></thead>"
        f"<tbody>{''.join(lines)}</tbody></table></div>{note}"
    )


def scrolled(label: str) -> str:
    """The start of a box that scrolls its table on a narrow screen, also by keys; a page has a label once."""
    return f'<div class="scroll" tabindex="0" role="region" aria-label="{escape(label, quote=True)}">'


def data_variant(name: str) -> str:
    """The attribute by which the page's filters find what belongs to a variant, after a space."""
    return f' data-variant="{escape(name, quote=True)}"'


def column_head(column: table_data.Column) -> str:
    """A column head that explains itself on hover and leads to its entry in the glossary."""
    side = ' class="l"' if column.kind in ("text", "prose", "flags") else ""
    label = typeset(column.title)
    if not column.definition:
        return f'<th scope="col"{side}>{label}</th>'
    hint = escape(f"{column.title}: {column.definition}", quote=True)
    return f'<th scope="col"{side}><a href="#{anchor(column.title)}" title="{hint}">{label}</a></th>'


def flag_links(flags: Sequence[str]) -> str:
    """Flags by name, each leading to its explanation."""
    return ", ".join(f'<a href="#{anchor("flag " + flag)}">{escape(flag)}</a>' for flag in flags)


def _cell(column: table_data.Column, cell: table_data.Cell, draw: Draw | None) -> str:
    if isinstance(cell, tuple):
        return f'<td class="l flag">{flag_links(cell)}</td>'
    if isinstance(cell, Estimate):
        return f"<td>{_estimate(column, cell, draw)}</td>"
    text = table_data.cell_text(column, cell)
    if column.kind == "prose":
        return f'<td class="l wrap">{minus(escape(text))}</td>'
    side = ' class="l"' if column.kind == "text" else ""
    is_text = column.kind == "text" and text != number_format.MISSING
    return f"<td{side}>{escape(text) if is_text else number(text)}</td>"


def _estimate(column: table_data.Column, cell: Estimate, draw: Draw | None) -> str:
    """The number and its interval; where the interval is drawn too, the three stand one below the other."""
    drawn = draw(cell) if draw else ""
    if column.kind in ("estimate", "value"):
        value, _, span = number_format.estimate(cell).partition(" ")
        return with_interval_below(value, span, drawn) if draw else f"{number(value)}{_grey(span)}"
    if column.kind == "hp" and number_format.hp(cell) != number_format.MISSING:
        return f"{number(number_format.decimal(cell))}{_grey('= ' + number_format.power_of_two(cell))}"
    return f"{number(table_data.cell_text(column, cell))}{drawn}"


def with_interval_below(value: str, span: str, drawn: str = "") -> str:
    """A number with its interval below, where there is one; its drawing stands between them."""
    return f'{number(value)}{drawn}<span class="i">{number(span)}</span>' if span else number(value) + drawn


def _grey(text: str) -> str:
    """A remark beside a number, in grey."""
    return f' <span class="grey">{number(text)}</span>' if text else ""


def section(title: str, caption: str, body: str, name: str = "") -> str:
    """A part of the page under its heading and caption, all as HTML; `name` is what a link leads to."""
    lead = f'<p class="caption">{caption}</p>\n' if caption else ""
    place = f' id="{name}"' if name else ""
    return f"<section{place}>\n<h2>{title}</h2>\n{lead}{body}</section>"


def definition(term: str, meaning: str, link: str = "") -> str:
    """An entry of a definition list, as HTML; `link` is the text that leads to it, where something does."""
    place = f' id="{anchor(link)}"' if link else ""
    return f"<div{place}><dt>{term}</dt><dd>{meaning}</dd></div>"


def omitted_note(fit: SweepFit, shown: Sequence[VariantFit], how: str) -> str:
    """`sentences.omitted` as a note of the page; empty where every variant is shown."""
    text = sentences.omitted(fit, len(shown), how)
    return f'<p class="note">{text}</p>\n' if text else ""
