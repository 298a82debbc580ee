"""Helpers of the tests of lines."""

from __future__ import annotations

DAMAGED = {
    "NULs": b"\0" * 4096,
    "NULs in a line": b'{"loss": 1.0, "st\0\0\0\0',
    "bad UTF-8": b'{"loss\xff\xfe": 1.0, "step": 3}',
    "deep nesting": b'{"a": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "digits": b'{"step": ' + b"9" * 5000 + b"}",
    "text as step": b'{"loss": 1.0, "step": "3", "iteration": 3}',
    "list as iteration": b'{"loss": 1.0, "step": 3, "iteration": [3]}',
    "None as iteration": b'{"loss": 1.0, "step": 3, "iteration": null}',
    "infinite step": b'{"loss": 1.0, "step": Infinity}',
    "large iteration": b'{"loss": 1.0, "iteration": 1e300}',
    "axis of a number": b'{"loss": 1.0, "step": 3, "axis": 7}',
    "mode of a dict": b'{"loss": 1.0, "step": 3, "mode": {}}',
    "no object": b"[1, 2]",
    "half a line": b'{"loss": 0.',
}
