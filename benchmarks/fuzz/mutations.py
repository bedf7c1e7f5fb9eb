"""Inputs like those that once broke a promise."""

from __future__ import annotations

import random
from collections.abc import Sequence

PIECES = [
    *(b"nan", b"-inf", b"1e400", b"-1", b"0", b"1e-300", b"9" * 30, b"9" * 5000, b"true", b"null", b"064"),
    *(b"1:30:00", b"0x" + b"F" * 40, b"2^-3", b"0^-1", b".inf", b"!!int ''", b"&a [*a]", b"<<: *a", b"*a"),
    *(b"\x00", b"\xff", b"\xed\xa0\x80", b"\x1b[2J", b"\r\n", b"\n", b"\t", b",", b";", b":", b'"', b"'"),
    *(b"{", b"}", b"[", b"]", b"[" * 300, b"\\ud800", b"\\u0000", b"=cmd|' /C calc'!A0", b"$(id)", b"`id`"),
    *("\u202eé".encode(), b"(", b")", b" and ", b" in [", b"==", b"diverged", b"x" * 5000, b"---\n"),
]


def mutated(draw: random.Random, seeds: Sequence[bytes]) -> bytes:
    """A seed with a few changes, or none."""
    content = bytearray(draw.choice(seeds))
    for _ in range(draw.choice((0, 1, 1, 1, 2, 3, 5, 8))):
        at = draw.randrange(len(content) + 1)
        end = min(len(content), at + draw.choice((0, 1, 1, 2, 4, 16, 64)))
        match draw.randrange(6):
            case 0:
                content[at:end] = draw.choice(PIECES)
            case 1:
                content[at:end] = b""
            case 2:
                content[at:at] = content[at:end] * draw.choice((1, 2, 10))
            case 3:
                content[at:end] = draw.randbytes(end - at)
            case 4:
                other = draw.choice(seeds)
                begin = draw.randrange(len(other) + 1)
                content[at:end] = other[begin : begin + draw.choice((1, 8, 64))]
            case 5:
                content[at:end] = bytes(content[at:end]).swapcase()
    return bytes(content[: 1 << 20])
