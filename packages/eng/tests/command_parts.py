"""Helpers of the tests in several files beside this one."""

from __future__ import annotations

import click


def failing(error: BaseException) -> click.Command:
    @click.command()
    def fail() -> None:
        raise error

    return fail
