"""Formats the contents of one registry as a table for ``print``."""

from __future__ import annotations

from collections.abc import Mapping
from io import StringIO
from typing import Any


def table_of(name: str, modules: Mapping[str, Any]) -> str:
    """Formats the names of a registry and the classes behind them as a text table."""
    from rich.console import Console
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=f"Registry of {name}")
    table.add_column("Names", justify="left", no_wrap=True)
    table.add_column("Objects", justify="left")
    for key, module in sorted(modules.items()):
        table.add_row(escape(key), escape(str(module)))
    text = StringIO()
    Console(file=text, width=120, color_system=None).print(table, end="")
    return text.getvalue()
