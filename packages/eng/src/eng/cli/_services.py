"""Functions that every command can use without importing another package of eng."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import click


class Services:
    """Functions for commands, available as ``ctx.obj`` in every command.

    Examples:
        A command of any package, which imports only click::

            @click.command()
            @click.argument("config")
            @click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config.")
            @click.pass_context
            def summary(ctx, config, cfg_options):
                cfg = ctx.obj.load_config(config, cfg_options)
                model = ctx.obj.build_model(cfg)
    """

    def load_config(
        self, path: str | Path, cfg_options: Mapping[str, Any] | Sequence[str] | None = None, *, trust: bool = True
    ) -> Any:
        """Reads a config file and applies overrides.

        Args:
            path: path of a ``.py``, ``.json`` or ``.yaml`` config.
            cfg_options: overrides as values by dotted key, or as strings such as
                ``"optim_wrapper.optimizer.lr=0.1"``, parsed by `eng.config.DictAction`.
            trust: False reads a Python config without executing it.

        Returns:
            The `eng.config.Config`.

        Raises:
            click.UsageError: a string is not of the form KEY=VALUE.
        """
        from eng.config import CommandLineOptions, Config

        cfg = Config.fromfile(path, trust=trust)
        if isinstance(cfg_options, Mapping):
            cfg.merge_from_dict(dict(cfg_options))
        elif cfg_options:
            cfg.merge_from_dict(CommandLineOptions(parse_cfg_options(cfg_options)))
        return cfg

    def build_model(self, cfg: Any) -> Any:
        """Builds the model of a config as a run does.

        The top-level keys ``loss`` and ``data_preprocessor`` of the config are used too, if eng-runner is installed;
        otherwise they are ignored.

        Args:
            cfg: a complete config with the key ``model``, or the config of a model.

        Returns:
            The module, on the CPU.
        """
        from eng.registry import MODELS, DefaultScope

        if isinstance(cfg.get("model"), Mapping) and find_spec("eng.runner") is not None:
            return import_module("eng.runner.assemble.model").model_of_config(cfg)
        with DefaultScope.overwrite_default_scope(cfg.get("default_scope")):
            return MODELS.build(cfg.get("model", cfg))


def parse_cfg_options(settings: Sequence[str]) -> dict[str, Any]:
    """Parses strings such as ``"a.b=1"`` to values by dotted key.

    Raises:
        click.UsageError: a string is not of the form KEY=VALUE, or its value cannot be parsed.

    Examples:
        >>> parse_cfg_options(["model.depth=50", "names=[a,b]"])
        {'model.depth': 50, 'names': ['a', 'b']}
    """
    from eng.config import DictAction

    for setting in settings:
        if not setting.partition("=")[1] or setting.startswith(("=", "-")):
            raise click.UsageError(f"--cfg-options takes KEY=VALUE, not {setting!r}")
    parser = argparse.ArgumentParser(exit_on_error=False, add_help=False)
    parser.add_argument("--cfg-options", nargs="+", action=DictAction, default={})
    try:
        options = parser.parse_args(["--cfg-options", *settings] if settings else []).cfg_options
    except argparse.ArgumentError as error:
        raise click.UsageError(str(error)) from error
    return dict(options)
