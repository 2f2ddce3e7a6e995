"""Commands and groups of sub-commands: global options on each of them, loading on demand, help in plain text."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from difflib import get_close_matches
from functools import partial
from importlib import import_module
from typing import Any

import typer
from typer._click.shell_completion import CompletionItem
from typer.core import TyperCommand, TyperGroup
from typer.exceptions import TyperException

from gpuctl.cli.command_table import CommandRow, entry_of
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import ParameterType, default_text
from gpuctl.cli.warnings import warn_if_config_is_wrong, warn_if_foreign, warn_if_overdue
from gpuctl.errors import UsageError

_ROOT_ONLY = ("version",)


class Command(TyperCommand):
    """A command that also takes the global options, and rejects empty values."""

    takes_rest = False

    def get_params(self, ctx: Any) -> list[Any]:
        """The options of the command, then the global ones."""
        return _with_global_options(super().get_params(ctx), ctx)

    def get_help_option(self, ctx: Any) -> Any:
        """The option -h, described like every other option."""
        return described(super().get_help_option(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse the arguments; what follows `--` is kept unparsed if it is the command line of a remote program."""
        if self.takes_rest and "--" in args:
            context: Context = ctx.find_root().obj
            cut = args.index("--")
            args, context.globals = args[:cut], replace(context.globals, rest=tuple(args[cut + 1 :]))
        return super().parse_args(ctx, args)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line. Typer would wrap each metavar in braces or in a second pair of brackets."""
        arguments = [parameter.metavar or "" for parameter in self.params if parameter.param_type_name == "argument"]
        return [self.options_metavar or "", *arguments, *(["-- COMMAND..."] if self.takes_rest else [])]

    def invoke(self, ctx: Any) -> Any:
        """Run the command, without the global options among its own."""
        take_global_options(ctx)
        context: Context = ctx.find_root().obj
        # An invalid variable or profile is rejected before anything is done, whether or not the command uses it.
        context.refuse_unknown_environment()
        if context.selection.profile is not None:
            _ = context.wiring.settings
        for parameter in self.params:
            ctx.params[parameter.name] = _converted(parameter, ctx.params[parameter.name])
        entry = entry_of(context.globals.command)
        if entry.warns_if_overdue:
            warn_if_overdue(context)
        if entry.warns_if_foreign:
            warn_if_foreign(context)
        result = super().invoke(ctx)
        if entry.only_reads:
            warn_if_config_is_wrong(context)
        return result

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, description, arguments, options by heading, global options, examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        arguments: list[Any] = [parameter for parameter in self.params if parameter.param_type_name == "argument"]
        write_rows(formatter, "Arguments", [(argument.metavar, argument.help) for argument in arguments])
        options: list[Any] = [parameter for parameter in self.params if parameter.param_type_name == "option"]
        for heading in dict.fromkeys(option.rich_help_panel or "Options" for option in options):
            panel = [option for option in options if (option.rich_help_panel or "Options") == heading]
            write_rows(formatter, heading, [option.get_help_record(ctx) for option in panel])
        _write_global_options(self, ctx, formatter)
        write_examples(formatter, self.epilog)


class Group(TyperGroup):
    """A group of sub-commands. Without the name of one, `default` runs, if the group has a default."""

    entries: Mapping[str, CommandRow] = {}
    default: str | None = None
    other_names: Mapping[str, str] = {}

    def get_params(self, ctx: Any) -> list[Any]:
        """The global options."""
        return _with_global_options(super().get_params(ctx), ctx)

    def get_help_option(self, ctx: Any) -> Any:
        """The option -h, described like every other option."""
        return described(super().get_help_option(ctx))

    def list_commands(self, ctx: Any) -> list[str]:
        """The names of the sub-commands, in the order of the help."""
        return [name for name, entry in self.entries.items() if not entry.is_hidden]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The sub-command of that name, loaded now; None if there is none."""
        entry = self.entries.get(cmd_name)
        return None if entry is None else load(self._path_of(ctx, cmd_name), entry)

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line."""
        return [self.options_metavar or "", "[COMMAND]" if self.default else "COMMAND"]

    def parse_args(self, ctx: Any, args: list[str]) -> Any:
        """Parse the global options before a sub-command; add the default sub-command if none is named."""
        if self.default is not None:
            try:
                rest = self.make_parser(ctx).parse_args(list(args))[1]
            except TyperException:
                # An option that is not global: it belongs to the default.
                args = [self.default, *args]
            else:
                args = args if rest or ctx.resilient_parsing else [*args, self.default]
        return super().parse_args(ctx, args)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The sub-command that the arguments name. UsageError, with the nearest name, for any other word."""
        name = args[0]
        if not ctx.resilient_parsing and name not in self.entries and not name.startswith("-"):
            near = get_close_matches(name, self.list_commands(ctx), n=1, cutoff=0.6)
            suggestion = self.other_names.get(name) or (near[0] if near else None)
            hint = f"did you mean `{ctx.command_path} {suggestion}`?" if suggestion else f"{ctx.command_path} --help"
            raise UsageError(f"unknown command `{self._path_of(ctx, name[:40])}`", hint=hint)
        if ctx.obj is not None:
            ctx.obj.globals = replace(ctx.obj.globals, command=self._path_of(ctx, name))
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the sub-command."""
        take_global_options(ctx)
        return super().invoke(ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Usage, description, sub-commands, global options, examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        write_rows(formatter, "Commands", self.command_rows(ctx))
        _write_global_options(self, ctx, formatter)
        write_examples(formatter, self.epilog)

    def command_rows(self, ctx: Any) -> list[tuple[str, str]]:
        """Name and summary of each sub-command."""
        names = self.list_commands(ctx)
        return [(name, self.entries[name].summary + (" (default)" if name == self.default else "")) for name in names]

    def shell_complete(self, ctx: Any, incomplete: str) -> list[CompletionItem]:
        """The sub-commands and their summaries, and the options that are accepted without a sub-command."""
        rows = [(name, text) for name, text in self.command_rows(ctx) if name.startswith(incomplete)]
        options: Any = self.get_command(ctx, self.default) if self.default else super(TyperGroup, self)
        return [*(CompletionItem(name, help=text) for name, text in rows), *options.shell_complete(ctx, incomplete)]

    def _path_of(self, ctx: Any, name: str) -> str:
        return " ".join([*ctx.command_path.split()[1:], name])


def load(path: str, entry: CommandRow) -> Any:
    """The command of a row of the table, its module imported. `path` is its name as typed, such as `prices refresh`."""
    module = import_module(f"gpuctl.cli.commands.{entry.module}")
    name, examples = path.split()[-1], getattr(module, "EXAMPLES", "")
    if entry.commands:
        group = Group(name=name, help=f"{entry.summary}.", epilog=examples)
        group.entries, group.default = entry.commands, entry.default
        return group
    if " " in path:
        # The module has the examples of the whole group.
        examples = "\n".join(line for line in examples.splitlines() if f"gpuctl {path}" in line)
    app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
    settings = getattr(module, "SETTINGS", None)
    app.command(name, cls=Command, epilog=examples, context_settings=settings)(getattr(module, entry.function))
    command: Any = typer.main.get_command(app)
    prepare(command)
    command.takes_rest = getattr(module, "TAKES_REST", False)
    return command


def described(help_option: Any) -> Any:
    """The option -h with the text that it has everywhere."""
    help_option.help = "Show help"
    return help_option


def prepare(command: Any) -> None:
    """Let the parameter types of gpuctl convert and complete the values of a command.

    Typer would build a pydantic validator for each parameter, a tenth of the time of `gpuctl list`.
    """
    for parameter in command.params:
        kind = _kind_of(parameter)
        if kind is not None:
            parameter.process_value = partial(_unconverted, parameter)
            parameter.shell_complete = partial(_completions, kind)
            if parameter.default is not None:
                parameter.help += f"  [default: {default_text(parameter.default)}]"
                parameter.show_default = False


def _kind_of(parameter: Any) -> ParameterType[Any] | None:
    kind = parameter.type_descriptor.parameter_info.parser
    return kind if isinstance(kind, ParameterType) else None


def _unconverted(parameter: Any, ctx: Any, value: Any) -> Any:
    """The text. It is converted when the command starts: then the global options are known, at any position."""
    if parameter.required and parameter.value_is_missing(value):
        # Raises the error of the library for a missing value.
        return type(parameter).process_value(parameter, ctx, value)
    return value


def _converted(parameter: Any, value: Any) -> Any:
    kind = _kind_of(parameter)
    if kind is None or value is None:
        return value
    return kind.converted(value, parameter.opts[0] if parameter.param_type_name == "option" else kind.metavar)


def _completions(kind: ParameterType[Any], ctx: Any, incomplete: str) -> list[CompletionItem]:
    contexts = [ctx]
    while contexts[0].parent is not None:
        contexts.insert(0, contexts[0].parent)
    for each in contexts:
        take_global_options(each)
    return kind.items(ctx.find_root().obj, incomplete)


def global_options(root: Any) -> list[Any]:
    """The options that every command accepts, from the root command."""
    return [parameter for parameter in root.params if parameter.name not in _ROOT_ONLY]


def take_global_options(ctx: Any) -> None:
    """Move the global options from the parameters of this context into the `Context` of the invocation."""
    root = ctx.find_root()
    values = {option.name: _converted(option, ctx.params.get(option.name)) for option in global_options(root.command)}
    root.obj.globals = root.obj.globals.with_options(values)
    if ctx is not root:
        for name in values:
            ctx.params.pop(name, None)


def write_rows(formatter: Any, heading: str, rows: Iterable[tuple[str, str] | None]) -> None:
    """A section of two columns; nothing if there is no row."""
    present = [row for row in rows if row]
    if present:
        with formatter.section(heading):
            formatter.write_dl(present, col_max=34)


def write_examples(formatter: Any, examples: str | None) -> None:
    """The examples as they are, indented."""
    if examples:
        formatter.write("\nExamples:\n")
        formatter.write("".join(f"  {line}\n" for line in examples.splitlines()))


def _with_global_options(own: list[Any], ctx: Any) -> list[Any]:
    root = ctx.find_root().command
    return own if root is ctx.command else [*own[:-1], *global_options(root), own[-1]]


def _write_global_options(command: Any, ctx: Any, formatter: Any) -> None:
    options = [*global_options(ctx.find_root().command), command.get_help_option(ctx)]
    write_rows(formatter, "Global options", [option.get_help_record(ctx) for option in options])
