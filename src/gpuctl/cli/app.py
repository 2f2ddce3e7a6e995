"""The root command: commands that load when they are needed, options that may stand anywhere, help for people."""

from collections.abc import Callable
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from gpuctl.cli.command_table import COMMANDS, EXAMPLES, HIDDEN, OTHER_NAMES, Entry, entry_of
from gpuctl.cli.context import Context
from gpuctl.cli.namesake import warn_if_foreign
from gpuctl.cli.overdue import warn_if_overdue
from gpuctl.errors import UsageError

_ROOT_ONLY = ("version",)


class Command(TyperCommand):
    """A command that also takes the options that may stand anywhere, and refuses empty texts."""

    takes_rest = False

    def get_params(self, ctx: Any) -> list[Any]:
        """Its own options, then those of the root."""
        own, root = super().get_params(ctx), ctx.find_root().command
        return own if root is self else [*own[:-1], *_anywhere(root), own[-1]]

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Read its arguments; what follows `--` is set aside where it is a command line of another machine's."""
        if self.takes_rest and "--" in args:
            context: Context = ctx.find_root().obj
            cut = args.index("--")
            args, context.globals = args[:cut], replace(context.globals, rest=tuple(args[cut + 1 :]))
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line. Typer would wrap each metavar in braces or in a second pair of brackets."""
        arguments = [parameter.metavar or "" for parameter in self.params if parameter.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments, *(["-- COMMAND..."] if self.takes_rest else [])]

    def get_help_option(self, ctx: Any) -> Any:
        """The option -h, described like every other option."""
        return _described(super().get_help_option(ctx))

    def invoke(self, ctx: Any) -> Any:
        """Run it, with the root's options taken out of its own."""
        root = ctx.find_root()
        given = {item.name: ctx.params.pop(item.name, None) for item in _anywhere(root.command)}
        context: Context = root.obj
        context.globals = context.globals.with_(given)
        # A form that cannot be meant is refused before anything is done, not when there is something to print.
        context.refuse_unknown_output()
        # A profile that cannot be meant is refused by every command, whether or not it reads a setting.
        if context.profile is not None:
            _ = context.settings
        for parameter in self.params:
            _refuse_empty(parameter, ctx.params.get(parameter.name))
        if entry_of(self.name or "").warns_if_overdue:
            warn_if_overdue(context)
        warn_if_foreign(context, self.name)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, what it does, its options by heading, the root's, and examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        positional: list[Any] = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        arguments = [(argument.metavar, argument.help) for argument in positional]
        _write_rows(formatter, "Arguments", arguments)
        options: list[Any] = [parameter for parameter in self.params if parameter.param_type_name == "option"]
        for heading in dict.fromkeys(option.rich_help_panel or "Options" for option in options):
            rows = [
                option.get_help_record(ctx) for option in options if (option.rich_help_panel or "Options") == heading
            ]
            _write_rows(formatter, heading, rows)
        anywhere = [
            item.get_help_record(ctx) for item in (*_anywhere(ctx.find_root().command), self.get_help_option(ctx))
        ]
        _write_rows(formatter, "Global options", anywhere)
        _write_examples(formatter, self.epilog)


class Root(TyperGroup):
    """`gpuctl` itself."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Every command's name, in the order help shows them."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of that name, loaded now; None where there is none."""
        entry = COMMANDS.get(cmd_name) or HIDDEN.get(cmd_name)
        return None if entry is None else _loaded(cmd_name, entry)

    def get_help_option(self, ctx: Any) -> Any:
        """The option -h, described like every other option."""
        return _described(super().get_help_option(ctx))

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the arguments name; UsageError, naming ours, for one that is not."""
        if not ctx.resilient_parsing and args[0] not in {*COMMANDS, *HIDDEN} and not args[0].startswith("-"):
            near = get_close_matches(args[0], COMMANDS, n=1, cutoff=0.6)
            ours = OTHER_NAMES.get(args[0]) or (near[0] if near else None)
            hint = f"did you mean `gpuctl {ours}`?" if ours else "gpuctl --help"
            raise UsageError(f"unknown command `{args[0][:40]}`", hint=hint)
        if ctx.obj is not None:
            ctx.obj.globals = replace(ctx.obj.globals, command=args[0])
        return super().resolve_command(ctx, args)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """What gpuctl is, its commands by heading, the options that may stand anywhere, and examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
            rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.heading == heading]
            _write_rows(formatter, heading, rows)
        _write_rows(formatter, "Global options", [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)])
        _write_examples(formatter, EXAMPLES)


def build() -> Any:
    """The root command, ready to be run."""
    app = typer.Typer(
        cls=Root,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        add_completion=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(invoke_without_command=True)(_root)
    # Typer makes a group only of an app with commands; the real ones come from the table.
    app.command("list", hidden=True)(lambda: None)
    root = typer.main.get_command(app)
    _spare_types(root)
    return root


def _root(
    ctx: typer.Context,
    output: Annotated[
        str | None, typer.Option("--output", "-o", metavar="FORMAT", help="Output format: table, json, csv or tsv")
    ] = None,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print IDs only, no progress")] = False,
    state: Annotated[str | None, typer.Option(metavar="FILE", help="State file [env: GPUCTL_STATE]")] = None,
    config: Annotated[str | None, typer.Option(metavar="FILE", help="Config file [env: GPUCTL_CONFIG]")] = None,
    profile: Annotated[
        str | None, typer.Option(metavar="NAME", help="Config profile to use, [profile.NAME] [env: GPUCTL_PROFILE]")
    ] = None,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox", help="Use emulated clouds on your computer: no account, no cost [env: GPUCTL_SANDBOX]"
        ),
    ] = False,
    verbose: Annotated[bool, typer.Option("--verbose", "-v", help="Show the underlying cause of errors")] = False,
    no_input: Annotated[bool, typer.Option("--no-input", help="Never prompt")] = False,
    color: Annotated[str | None, typer.Option(metavar="WHEN", help="Colored output: auto, always or never")] = None,
    version: Annotated[bool, typer.Option("--version", "-V", help="Show the version")] = False,
) -> None:
    """Start GPU instances for single tasks, track their cost, and make sure they are terminated."""
    context: Context = ctx.obj
    given = {item.name: ctx.params.get(item.name) for item in _anywhere(ctx.command)}
    context.globals = context.globals.with_(given)
    if version:
        from gpuctl import __version__

        context.streams.out.write(f"gpuctl {__version__}\n")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        context.streams.out.write(ctx.get_help() + "\n")


def _loaded(name: str, entry: Entry) -> Any:
    module = import_module(f"gpuctl.cli.commands.{entry.module}")
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    settings = getattr(module, "SETTINGS", None)
    app.command(name, cls=Command, epilog=getattr(module, "EXAMPLES", None), context_settings=settings)(module.command)
    command = typer.main.get_command(app)
    _spare_types(command)
    if isinstance(command, Command):
        command.takes_rest = getattr(module, "TAKES_REST", False)
    return command


def _described(help_option: Any) -> Any:
    help_option.help = "Show help"
    return help_option


def _spare_types(command: Any) -> None:
    """Let parameters that are not given have no type: Typer builds each one a pydantic validator, a tenth of `list`."""
    for parameter in command.params:
        parameter.process_value = partial(_process_value, parameter, parameter.process_value)


def _process_value(parameter: Any, process: Callable[[Any, Any], Any], ctx: Any, value: Any) -> Any:
    if value is not None or parameter.required or parameter.callback is not None:
        return process(ctx, value)
    return () if parameter.multiple or parameter.nargs == -1 else None


def _anywhere(root: Any) -> list[Any]:
    return [parameter for parameter in root.params if parameter.name not in _ROOT_ONLY]


def _refuse_empty(option: Any, value: Any) -> None:
    values = value if isinstance(value, list | tuple) else [value]
    if any(isinstance(value, str) and not value.strip() for value in values):
        name = option.opts[0] if option.param_type_name == "option" else option.name.upper()
        raise UsageError(f"{name} is empty", hint="give it a value, or leave it out")


def _write_rows(formatter: Any, heading: str, records: Any) -> None:
    rows = [row for row in records if row]
    if rows:
        with formatter.section(heading):
            formatter.write_dl(rows, col_max=34)


def _write_examples(formatter: Any, examples: str | None) -> None:
    if examples:
        formatter.write("\nExamples:\n")
        formatter.write("".join(f"  {line}\n" for line in examples.splitlines()))
