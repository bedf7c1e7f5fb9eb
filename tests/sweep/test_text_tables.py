r"""Tables drawn in text: LaTeX, and boxes as libraries print them."""

import pytest

from hptransfer.errors import SweepError
from hptransfer.sweep import read
from hptransfer.sweep.text_tables import drawn_table

LRS = (0.001, 0.002, 0.004)


def latex(runs, head="Width & $\\eta$ & Loss"):
    rows = "".join(f"{n} & {lr:g} & \\textbf{{{loss}}} \\\\ % seen\n" for n, lr, loss in runs)
    top = f"\\begin{{tabular}}[t]{{l|rr}}\n\\toprule\n{head} \\\\\n\\midrule\n"
    return f"{top}{rows}\\bottomrule\n\\end{{tabular}}\n"


def wide(runs):
    body = ""
    for n in (64, 128, 256):
        losses = " & ".join(str(loss) for width, _, loss in runs if width == n)
        body += f"$d={n}$ & {losses} \\\\ \\cline{{2-4}}\n"
    heads = " & ".join(f"${lr * 1000:g} \\times 10^{{-3}}$" for lr in LRS)
    title = "\\multicolumn{3}{c}{Learning rate}"
    top = "\\begin{tabularx}{\\textwidth}{lrrr}\n\\hline\n"
    return f"{top} & {title} \\\\\nWidth & {heads} \\\\ \\hline\n{body}\\end{{tabularx}}"


def box(runs, bars="│", rule="├─────┼─────┼─────┤", top="┌─────┬─────┬─────┐"):
    lines = [f"{bars} width {bars} lr {bars} loss {bars}"]
    lines += [f"{bars} {n} {bars} {lr} {bars} {loss} {bars}" for n, lr, loss in runs]
    return "\n".join(["Results", top, lines[0], rule, *lines[1:], "└─────┴─────┴─────┘"]) + "\n"


def grid(runs):
    """As tabulate prints it, with a rule under every row."""
    rule = "+-------+-------+------+\n"
    rows = "".join(f"| {n} | {lr} | {loss} |\n{rule}" for n, lr, loss in runs)
    return f"{rule}| width | lr | loss |\n{rule.replace('-', '=')}{rows}"


def psql(runs):
    rows = "".join(f" {n} | {lr} | {loss}\n" for n, lr, loss in runs)
    return f" width | lr | loss\n-------+----+------\n{rows}(9 rows)\n"


@pytest.mark.parametrize(
    "text", [latex, wide, box, grid, psql, lambda runs: box(runs, "┃", "┡━━━╇━━━╇━━━┩", "┏━━━┳━━━┳━━━┓")]
)
@pytest.mark.parametrize("name", ["table.txt", "table.tex"])
def test_drawn_tables(write, right, runs, text, name):
    right(read(write(text(runs), name)))


def test_cells_that_span_and_styles():
    table = drawn_table(
        "\\begin{tabular}{ll}\n\\multirow{2}{*}{$\\mu$P} & \\multicolumn{2}{c}{\\textbf{a\\_b}} \\\\\n"
        "\\cmidrule(lr){2-3}\n & $2^{-3}$ & \\underline{4} \\\\\n\\end{tabular}"
    )
    assert table.rows == [["μP", "a_b", "a_b"], ["", "2^-3", "4"]]
    assert table.numbers == [2, 4]


def test_the_longest_of_several_tables_is_read(write, right, runs):
    other = "\\begin{tabular}{ll} model & size \\\\ a & 3 \\\\ \\end{tabular}\n"
    right(read(write(other + latex(runs) + other, "paper.tex")))


def test_an_error_names_the_line(write, runs):
    text = latex([*runs, (64, -1, 3.0)])
    with pytest.raises(SweepError, match=r"row 14 of .* has \$?.*=-1"):
        read(write(text, "t.tex"))


@pytest.mark.parametrize(
    "text", ["a b c\n1 2 3\n", "x,y\n---\n1,2\n", "no table at all\n", "\\begin{itemize}"]
)
def test_no_drawn_table(text):
    assert drawn_table(text) is None
