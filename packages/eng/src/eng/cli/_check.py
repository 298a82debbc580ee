"""The command `eng config check`, which finds mistakes in a config before a run starts."""

from __future__ import annotations

import json

import click


@click.command()
@click.argument("config", type=click.Path(dir_okay=False))
@click.option("--cfg-options", multiple=True, metavar="KEY=VALUE ...", help="Change the config before checking it.")
@click.option("--no-trust", is_flag=True, help="Read a Python config without executing it; refuse what is not data.")
@click.option("--json", "as_json", is_flag=True, help="Print the findings as a JSON list.")
@click.pass_context
def check(ctx: click.Context, config: str, cfg_options: tuple[str, ...], no_trust: bool, as_json: bool) -> int:
    """Find unknown types and arguments in CONFIG, without building anything.

    Exit status: 0 nothing found, 1 findings, 2 the config cannot be read.
    """
    from eng.registry import check as findings_of

    cfg = ctx.obj.load_config(config, cfg_options, trust=not no_trust)
    try:
        findings = findings_of(cfg)
    except ModuleNotFoundError as error:
        if error.name is None or not "eng.runner.schema.".startswith(f"{error.name}."):
            raise
        raise click.ClickException("checking a config needs eng-runner, which knows the parts of a run") from error
    if as_json:
        click.echo(json.dumps([finding.to_dict() for finding in findings], indent=2))
    else:
        for finding in findings:
            click.echo(str(finding))
        click.echo(f"{config}: {len(findings) or 'no'} finding{'s' if len(findings) != 1 else ''}", err=bool(findings))
    return 1 if findings else 0
