r"""Tables drawn in text: LaTeX's `tabular`, and boxes as rich, tabulate and psql print them."""

from __future__ import annotations

import re
from dataclasses import dataclass

TABULAR = re.compile(r"\\begin\{(tabular[x*]?|longtable|array)\}(.*?)\\end\{\1\}", re.DOTALL)
# The columns of a tabular: [t]{lrr}, {\textwidth}{lrr}
COLUMNS = re.compile(r"\s*(?:\[[^\]]*\])?(?:\{[^{}]*(?:\{[^{}]*\}[^{}]*)*\}){1,2}")
RULES = re.compile(
    r"\\(?:toprule|midrule|bottomrule|hline|endhead|endfirsthead|addlinespace|centering)(?:\[[^\]]*\])?"
    r"|\\c(?:mid)?rule?(?:line)?(?:\[[^\]]*\])?(?:\([^)]*\))?\{[^}]*\}|\\cline\{[^}]*\}|(?<!\\)%[^\n]*"
)
SPAN = re.compile(r"\\multicolumn\{(\d+)\}\{[^{}]*\}\{(.*)\}", re.DOTALL)
ROWS = re.compile(r"\\multirow\*?(?:\[[^\]]*\])?\{[^{}]*\}(?:\[[^\]]*\])?\{[^{}]*\}\{(.*)\}", re.DOTALL)
STYLE = re.compile(
    r"\\(?:text\w*|math\w*|underline|emph|bf|bfseries|em|it|small|footnotesize|num|boldsymbol|hat)\b\s*"
)
SYMBOLS = {r"\mu": "μ", r"\eta": "eta", r"\_": "_", r"\%": "%", r"\#": "#", r"\&": "&", "~": " ", r"\,": ""}
BOX = "│┃║╎╏┆┇┊┋"
BARS = str.maketrans(dict.fromkeys(BOX, "|"))
RULE = re.compile(r"[\s|+=:\-─-╿]+")  # with all that Unicode has for drawing boxes
UNDER = re.compile(r"\s*=+(?: +=+)+\s*")
CORNER = re.compile(r"[+┌┏╔╒╓╭┼╋╬╪╇┿╂┣├]")


@dataclass(frozen=True)
class Drawn:
    """The rows of one drawn table, and where each stands."""

    rows: list[list[str]]  # cells, without borders and styles
    numbers: list[int]  # line of each row in its source


def drawn_table(text: str) -> Drawn | None:
    """The cells of the first table that is drawn in a text and has several rows; None where there is none."""
    found = _latex(text) if "\\begin{" in text else _boxed(text) or _ruled(text)
    return found if found is not None and len(found.rows) > 1 else None


def _latex(text: str) -> Drawn | None:
    tables = [_tabular(match, text) for match in TABULAR.finditer(text)]
    return max(tables, key=lambda table: len(table.rows), default=None)


def _tabular(match: re.Match[str], text: str) -> Drawn:
    begin = match.start(2)
    if columns := COLUMNS.match(match[2]):
        begin += columns.end()
    rows, numbers = [], []
    for line in re.split(r"\\\\(?:\[[^\]]*\])?|\\tabularnewline", text[begin : match.end(2)]):
        plain = RULES.sub("", line)
        above = plain[: len(plain) - len(plain.lstrip())].count("\n")
        numbers.append(text.count("\n", 0, begin) + 1 + above)
        begin += len(line) + 2
        rows.append([cell for part in re.split(r"(?<!\\)&", plain) for cell in _latex_cells(part)])
    kept = [i for i, row in enumerate(rows) if any(row)]
    return Drawn([rows[i] for i in kept], [numbers[i] for i in kept])


def _latex_cells(part: str) -> list[str]:
    """A cell's text without styles, as often as it spans columns."""
    part = part.strip()
    if span := SPAN.fullmatch(part):
        return [_latex_text(span[2])] * int(span[1])
    return [_latex_text(part)]


def _latex_text(part: str) -> str:
    if rows := ROWS.fullmatch(part.strip()):
        part = rows[1]
    part = STYLE.sub("", part)
    for symbol, plain in SYMBOLS.items():
        part = part.replace(symbol, plain)
    power = re.sub(r"\^\{([^{}]*)\}", r"^\1", part.replace("$", ""))
    return re.sub(r"[{}]", "", power).strip()


def _boxed(text: str) -> Drawn | None:
    lines = text.translate(BARS).splitlines()
    rules = {i for i, line in enumerate(lines) if len(line) > 2 and RULE.fullmatch(line)}
    if not any(CORNER.search(lines[i]) for i in rules):
        return None
    places = [i for i, line in enumerate(lines) if "|" in line and i not in rules]
    rows = [[cell.strip() for cell in _inside(lines[i]).split("|")] for i in places]
    return Drawn(rows, [i + 1 for i in places])


def _ruled(text: str) -> Drawn | None:
    """A simple table of reStructuredText: columns under rules of `=`."""
    lines = text.splitlines()
    rules = [i for i, line in enumerate(lines) if UNDER.fullmatch(line)]
    if len(rules) < 2:
        return None
    starts = [match.start() for match in re.finditer("=+", lines[rules[0]])]
    ends = [*starts[1:], None]
    places = [i for i in range(rules[0] + 1, rules[-1]) if lines[i].strip() and i not in rules]
    rows = [[lines[i][a:b].strip() for a, b in zip(starts, ends, strict=True)] for i in places]
    return Drawn(rows, [i + 1 for i in places])


def _inside(line: str) -> str:
    return line.strip().removeprefix("|").removesuffix("|")
