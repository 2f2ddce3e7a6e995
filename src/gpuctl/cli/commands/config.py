"""`gpuctl config`: the settings in force, and the config file."""

import re
from collections.abc import Sequence
from datetime import timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import typer

from gpuctl.cli.context import Context
from gpuctl.cli.render.result import Result
from gpuctl.cli.render.tables import table, wrapped
from gpuctl.cli.terminal.text import clean
from gpuctl.config import Setting
from gpuctl.domain.duration import exact

if TYPE_CHECKING:
    from rich.table import Table

EXAMPLES = """\
gpuctl config
gpuctl config show --profile prod -o json
${EDITOR:-vi} "$(gpuctl config path)\""""

COLUMNS = ("key", "value", "source")
_HOST = re.compile(r"(https?://)(?:[^\s/@]*@)?([^\s/?#]+)", re.ASCII | re.IGNORECASE)


def path(ctx: typer.Context) -> Result:
    """Print the path of the config file."""
    context: Context = ctx.find_root().obj
    file = str(context.wiring.config_path)
    is_there = context.wiring.config_path.exists()
    return Result(
        {"path": file, "exists": is_there},
        columns=("path",),
        rows=[[file]],
        ids=[file],
        footer=[] if is_there else ["the file does not exist yet"],
    )


def show(ctx: typer.Context) -> Result:
    """Show every setting with its value and source.

    Precedence: command-line flag, GPUCTL_* variable, profile, config file, the provider's own settings, default.
    """
    context: Context = ctx.find_root().obj
    settings = [_with_login_name(setting, context) for setting in context.wiring.settings.every(context.environ)]
    present = [setting for setting in settings if setting.source]
    unset = len(settings) - len(present)
    file = context.wiring.config_path
    return Result(
        document={
            "settings": [
                {
                    "key": setting.name,
                    "value": _plain(setting),
                    "source": setting.source or None,
                    "env": setting.key.variable,
                }
                for setting in settings
            ],
            "count": len(settings),
            "profile": context.selection.profile,
            "path": str(file),
        },
        columns=COLUMNS,
        rows=[[setting.name, _value_text(setting), setting.source] for setting in settings],
        ids=[setting.name for setting in present],
        draw=lambda width: _table(present),
        footer=[
            f"{file}" if file.exists() else f"no config file; the path would be {file}",
            *([f"{unset} more settings are available: gpuctl config show -o tsv"] if context.output == "table" else []),
        ],
    )


def _with_login_name(setting: Setting, context: Context) -> Setting:
    """The user's name, where nothing sets it, is that of the login."""
    if setting.path != ("user",) or setting.source:
        return setting
    return Setting(setting.path, setting.key, context.wiring.user, "login name")


def _plain(setting: Setting) -> Any:
    """The value as JSON carries it; what could hold a secret is masked."""
    value = setting.value
    if isinstance(value, tuple):
        return list(value)
    return float(value) if isinstance(value, Decimal) else (None if value is None else _value_text(setting))


def _value_text(setting: Setting) -> str:
    value = setting.value
    if value is None:
        return ""
    if setting.path[0] == "hooks":
        return masked(value)
    if isinstance(value, timedelta):
        return exact(value)
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def masked(hook: str) -> str:
    """A hook without what may be a secret: of an address its host, of a command the program."""
    address = _HOST.match(hook)
    if address:
        return f"{address[1]}{address[2]}/…"
    program, *arguments = hook.split()
    return f"{program} …" if arguments else program


def _table(settings: Sequence[Setting]) -> "Table":
    grid = table("KEY", wrapped("VALUE"), wrapped("SOURCE", style="dim"))
    for setting in settings:
        grid.add_row(clean(setting.name), clean(_value_text(setting)), clean(setting.source))
    return grid
