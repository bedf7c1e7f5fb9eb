import math
import time

import pytest

from hptransfer.plain_yaml import MAX_DEPTH, check_plain, read_yaml


def test_plain_yaml_is_read():
    assert read_yaml("a: [1, 2.5, 1e-3, 0x10, 1_000, -7, true, null, x]") == {
        "a": [1, 2.5, "1e-3", 16, 1000, -7, True, None, "x"]
    }
    assert read_yaml("base: &b {x: 1}\ncopy: *b\nmore: {<<: *b, y: 2}") == {
        "base": {"x": 1},
        "copy": {"x": 1},
        "more": {"x": 1, "y": 2},
    }


BOMB = "\n".join(["- &l0 [x]", *(f"- &l{n} [{', '.join([f'*l{n - 1}'] * 10)}]" for n in range(1, 12))])
WRONG = {
    "bomb": BOMB,
    "bomb in a key": f"name:\n{BOMB}",
    "endless": "&a [*a]",
    "keys bomb": "? &a [x]\n: 1",
    "merge bomb": "\n".join(
        ["l0: &l0 {a: 1}", *(f"l{n}: &l{n} {{<<: [{', '.join([f'*l{n - 1}'] * 10)}]}}" for n in range(1, 9))]
    ),
    "duplicate": "a: 1\nb: 2\na: 3",
    "nested duplicate": "a: {b: 1, b: 1}",
    "octal": "a: 064",
    "sexagesimal": "a: 1:30:00",
    "sexagesimal number": "a: 1:30.5",
    "binary": "a: 0b11",
    "infinite": "a: .inf",
    "no number": "a: .nan",
    "overflow": "a: 1.0e+999",
    "huge": "a: 1" + "0" * 30,
    "huge hex": "a: 0x" + "F" * 5000,
    "huger hex": "a: 0x" + "F" * 500_000,
    "bool tag": 'a: !!bool "foo"',
    "int tag": 'a: !!int ""',
    "int tag of nothing": 'a: !!int "_"',
    "float tag": 'a: !!float ""',
    "time tag": 'a: !!timestamp "foo"',
    "binary tag": 'a: !!binary "\\xff"',
    "code tag": "a: !!python/object/apply:os.system [true]",
    "set tag": "a: !!set [x]",
    "map tag": "a: !!map x",
    "deep": "[" * 200 + "]" * 200,
    "very deep": "[" * 100_000,
    "control": "a: \x00",
    "bytes": b"\xff\xfe\xff",
    "two documents": "a: 1\n---\nb: 2",
    "long key": f"{'k' * 300}: 1",
    "long text": f"a: {'x' * 70_000}",
    "half a character": 'a: "\\ud800"',
}


@pytest.mark.parametrize("kind", WRONG)
def test_what_is_not_plain_is_one_line_at_once(kind):
    began = time.process_time()
    with pytest.raises(ValueError, match=r"^[^\n\x1b]{5,400}$"):
        read_yaml(WRONG[kind])
    assert time.process_time() - began < 5


@pytest.mark.parametrize("data", [math.nan, [math.inf], {"a": 2**63}, [[1] * 300] * 300, {("a",): 1}])
def test_plain_data_from_elsewhere_has_the_same_limits(data):
    with pytest.raises(ValueError, match=r"finite|2\^63|at most|word"):
        check_plain(data)


def test_data_that_holds_itself_is_refused():
    data = []
    data.append(data)
    with pytest.raises(ValueError, match=f"{MAX_DEPTH} levels"):
        check_plain(data)
