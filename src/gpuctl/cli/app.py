"""The root command: the table of commands, the global options, and help."""

from typing import Annotated, Any

import typer

from gpuctl.cli.command import (
    Group,
    prepare,
    take_global_options,
    write_examples,
    write_rows,
)
from gpuctl.cli.command_table import COMMANDS, EXAMPLES, HIDDEN, OTHER_NAMES
from gpuctl.cli.context import Context
from gpuctl.cli.parameters import FILE_NAME, NAME, flag, option, word_choice
from gpuctl.cli.terminal.streams import FORMATS


class Root(Group):
    """`gpuctl` itself."""

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The parts of the usage line."""
        return [self.options_metavar or "", self.subcommand_metavar]

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """What gpuctl is, its commands by heading, the global options, and examples."""
        self.format_usage(ctx, formatter)
        self.format_help_text(ctx, formatter)
        for heading in dict.fromkeys(entry.heading for entry in COMMANDS.values()):
            rows = [(name, entry.summary) for name, entry in COMMANDS.items() if entry.heading == heading]
            write_rows(formatter, heading, rows)
        write_rows(formatter, "Global options", [parameter.get_help_record(ctx) for parameter in self.get_params(ctx)])
        write_examples(formatter, EXAMPLES)


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
    root: Any = typer.main.get_command(app)
    root.entries, root.other_names = {**COMMANDS, **HIDDEN}, OTHER_NAMES
    prepare(root)
    return root


def _root(
    ctx: typer.Context,
    output: Annotated[
        str | None, option(word_choice("FORMAT", FORMATS), "Output format: table, json, csv or tsv", "--output", "-o")
    ] = None,
    quiet: Annotated[bool, flag("Print IDs only, no progress", "--quiet", "-q")] = False,
    state: Annotated[str | None, option(FILE_NAME, "State file, or URL of a shared state [env: GPUCTL_STATE]")] = None,
    config: Annotated[str | None, option(FILE_NAME, "Config file [env: GPUCTL_CONFIG]")] = None,
    profile: Annotated[str | None, option(NAME, "Config profile to use, [profile.NAME] [env: GPUCTL_PROFILE]")] = None,
    sandbox: Annotated[
        bool,
        flag("Use emulated clouds on your computer: no account, no cost [env: GPUCTL_SANDBOX]", "--sandbox"),
    ] = False,
    verbose: Annotated[bool, flag("Show the underlying cause of errors", "--verbose", "-v")] = False,
    no_input: Annotated[bool, flag("Never prompt", "--no-input")] = False,
    color: Annotated[
        str | None, option(word_choice("WHEN", ("auto", "always", "never")), "Colored output: auto, always or never")
    ] = None,
    version: Annotated[bool, flag("Show the version", "--version", "-V")] = False,
) -> None:
    """Start GPU instances for single tasks, track their cost, and make sure they are terminated."""
    context: Context = ctx.obj
    take_global_options(ctx)
    if version:
        from gpuctl import __version__

        context.streams.out.write(f"gpuctl {__version__}\n")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        context.streams.out.write(ctx.get_help() + "\n")
