"""What several tests of this folder share."""

from __future__ import annotations

from eng.analysis import FlopAnalyzer


def flops(model, *inputs, **options) -> int:
    return FlopAnalyzer(model, inputs, **options).total()


def attention_macs(batch, heads, queries, keys, width) -> int:
    return 2 * batch * heads * queries * keys * width


def block_macs(batch, length, width) -> int:
    return batch * length * 12 * width**2 + attention_macs(batch, 1, length, length, width)


def rows_of(table: str) -> dict[str, list[str]]:
    cells = ([cell.strip() for cell in line.split("|")[1:-1]] for line in table.splitlines() if line.startswith("|"))
    return {name: rest for name, *rest in cells}
