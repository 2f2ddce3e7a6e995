"""Types of option values: placeholder, conversion, error text and completion of each, in one place.

A command declares `ttl: Annotated[timedelta, option(MINUTES, "Time until termination")]` and gets the converted value.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from enum import StrEnum
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

import typer
from typer._click.shell_completion import CompletionItem

from gpuctl.domain.duration import as_typed, exact, parse_duration, parse_minutes
from gpuctl.domain.instance import ProviderName, Status
from gpuctl.errors import UsageError
from gpuctl.providers.registry import SUPPORTED, check_supported

if TYPE_CHECKING:
    from pathlib import Path

    from gpuctl.cli.context import Context

T = TypeVar("T")
E = TypeVar("E", bound=StrEnum)

_PLAIN = re.compile(r"\d{1,9}(\.\d{1,6})?|\.\d{1,6}", re.ASCII)
_WHOLE = re.compile(r"-?\d{1,9}", re.ASCII)


def _no_candidates(context: "Context", word_choice: Sequence[str]) -> Iterable[str]:
    return ()


@dataclass(frozen=True, slots=True)
class ParameterType(Generic[T]):
    """The type of the values of an option or argument.

    `convert` gets the text and the name of the option, and raises UsageError naming the option. `candidates` gets the
    words of the unfinished command line, and sends no request.
    """

    metavar: str
    convert: Callable[[str, str], T]
    candidates: Callable[["Context", Sequence[str]], Iterable[str]] = _no_candidates
    is_file: bool = False

    def __call__(self, text: str) -> T:
        """Convert the text. Typer wants a function of one argument; ours also get the name of the option."""
        return self.convert(text, self.metavar)

    def converted(self, value: Any, name: str) -> Any:
        """The value, or each of several. Defaults are typed already and pass through. UsageError if a text is empty."""
        if isinstance(value, list | tuple):
            return [self.converted(item, name) for item in value]
        if not isinstance(value, str):
            return value
        if not value.strip():
            raise UsageError(f"{name} is empty", hint="give it a value, or leave it out")
        return self.convert(value, name)

    def items(self, context: "Context", incomplete: str) -> list[CompletionItem]:
        """The completions of an incomplete value; one item of type `file` where the shell completes file names."""
        if self.is_file:
            return [CompletionItem(incomplete, type="file")]
        return [
            CompletionItem(text)
            for text in self.candidates(context, context.globals.rest)
            if text.startswith(incomplete)
        ]


def option(
    kind: ParameterType[Any], text: str, *names: str, panel: str | None = None, metavar: str | None = None
) -> Any:
    """The declaration of an option with values of that type; `text` is its line of the help."""
    return typer.Option(*names, metavar=metavar or kind.metavar, parser=kind, help=text, rich_help_panel=panel)


def argument(kind: ParameterType[Any], text: str, metavar: str | None = None) -> Any:
    """The declaration of an argument with values of that type."""
    return typer.Argument(metavar=metavar or kind.metavar, parser=kind, help=text, show_default=False)


def flag(text: str, *names: str, panel: str | None = None) -> Any:
    """The declaration of an option without a value."""
    return typer.Option(*names, help=text, rich_help_panel=panel)


def default_text(value: Any) -> str:
    """A typed default as it would be typed."""
    return exact(value) if isinstance(value, timedelta) else str(value)


# Text and files


def _text(text: str, name: str) -> str:
    return text


def _path(text: str, name: str) -> "Path":
    from gpuctl.home.environment import path_of

    return path_of(text)


def text(metavar: str) -> ParameterType[str]:
    """Free text. What it may contain is checked where it is used."""
    return ParameterType(metavar, _text)


NAME, USER, TASK, TEXT, MODEL = text("NAME"), text("USER"), text("TASK"), text("TEXT"), text("MODEL")
FILE = ParameterType("FILE", _path, is_file=True)
# Resolved by the context, which also knows the variable and the default.
FILE_NAME = ParameterType("FILE", _text, is_file=True)


# Choices


def choice(metavar: str, kind: type[E]) -> ParameterType[E]:
    """One of the values of an enumeration, in any letter case."""
    return ParameterType(metavar, lambda text, name: kind(one_of(list(kind), text, name)), lambda *_: list(kind))


def word_choice(metavar: str, known: tuple[str, ...]) -> ParameterType[str]:
    """One of these words, in any letter case."""
    return ParameterType(metavar, lambda text, name: one_of(known, text, name), lambda *_: known)


def one_of(known: Iterable[str], text: str, name: str) -> str:
    """The known word that equals the text in any letter case. UsageError, with the nearest one, for any other text."""
    by_folded = {word.casefold(): word for word in known}
    folded = text.strip(" ").casefold()
    if folded not in by_folded:
        *most, last = by_folded.values()
        listed = f"{', '.join(most)} or {last}" if most else last
        near = get_close_matches(folded, by_folded, n=1)
        hint = f"did you mean `{by_folded[near[0]]}`?" if near else None
        raise UsageError(f"{name} must be {listed}, not {as_typed(text)}", hint=hint)
    return by_folded[folded]


def _provider(text: str, name: str) -> ProviderName:
    if text.strip(" ").lower() in set(ProviderName):
        return ProviderName(text.strip(" ").lower())
    return ProviderName(one_of(SUPPORTED, text, name))


def _supported_provider(text: str, name: str) -> ProviderName:
    provider = _provider(text, name)
    check_supported(provider)
    return provider


ANY_PROVIDER = ParameterType("PROVIDER", _provider, lambda *_: SUPPORTED)
PROVIDER = ParameterType("PROVIDER", _supported_provider, lambda *_: SUPPORTED)
STATUS = choice("STATUS", Status)


# Durations and numbers

DURATION = ParameterType("TIME", lambda text, name: parse_duration(text, option=name))
MINUTES = ParameterType("TIME", lambda text, name: parse_minutes(text, option=name))


def minimum_duration(least: timedelta) -> ParameterType[timedelta]:
    """A duration of at least that."""

    def convert(text: str, name: str) -> timedelta:
        span = parse_duration(text, option=name)
        if span < least:
            raise UsageError(f"{name} must be at least {exact(least)}")
        return span

    return ParameterType("TIME", convert)


def integer(metavar: str, least: int | None = None, most: int | None = None) -> ParameterType[int]:
    """A whole number of plain digits, within these limits."""

    def convert(text: str, name: str) -> int:
        number = whole_number(text, name)
        if (least is not None and number < least) or (most is not None and number > most):
            limits = f"{least} or more" if most is None else f"{least} to {most:,}"
            raise UsageError(f"{name} must be {limits}, not `{number}`")
        return number

    return ParameterType(metavar, convert)


def whole_number(text: str, name: str) -> int:
    """The number. UsageError, naming the option, for anything but plain digits with at most one sign."""
    if not _WHOLE.fullmatch(text.strip(" ")):
        raise UsageError(f"{name} must be a whole number, not {as_typed(text)}")
    return int(text)


def above_zero(metavar: str, wanted: str) -> ParameterType[Decimal]:
    """A decimal of plain digits above zero; `wanted` names it in the error."""

    def convert(text: str, name: str) -> Decimal:
        # Decimal itself takes digits of every script, and underscores between them.
        number = Decimal(text.strip(" ")) if _PLAIN.fullmatch(text.strip(" ")) else Decimal(0)
        if number <= 0:
            raise UsageError(f"{name} must be {wanted}, not {as_typed(text)}")
        return number

    return ParameterType(metavar, convert)


INTERVAL = minimum_duration(timedelta(seconds=1))
COUNT = integer("N")
USD = above_zero("USD", "dollars, such as `1.20`")
GIB = above_zero("GIB", "GiB, such as `24`")
HOURS = above_zero("HOURS", "hours, such as `2` or `7.5`")
NUMBER = above_zero("N", "a number, such as `1`")


# Tags, addresses, names of the catalog and of the state


class Tag(NamedTuple):
    """One `K=V` of a command line."""

    key: str
    value: str


def _tag(text: str, name: str) -> Tag:
    from gpuctl.domain.market.request import check_tag

    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"{name} must be K=V, not {as_typed(text)}", hint=f"add `{name} project=x`")
    check_tag(key, value)
    return Tag(key, value)


def tags_of(pairs: list[Tag] | None) -> dict[str, str]:
    """The tags of a command line. UsageError if a key is given twice."""
    tags: dict[str, str] = {}
    for key, value in pairs or ():
        if key in tags:
            raise UsageError(f"--tag has {as_typed(key)} twice")
        tags[key] = value
    return tags


def _cidr(text: str, name: str) -> str:
    from gpuctl.domain.market.ssh_source import source

    return source(text, option=name)


def _active_ids(context: "Context", word_choice: Sequence[str]) -> Iterable[str]:
    return _ids(context, with_ended=False)


def _all_ids(context: "Context", word_choice: Sequence[str]) -> Iterable[str]:
    return _ids(context, with_ended=True)


def _ids(context: "Context", *, with_ended: bool) -> list[str]:
    records = [record for record in context.wiring.store.snapshot().records if with_ended or record.is_active]
    return [*(record.name for record in records if record.name), *(record.id for record in records)]


def _instance_types(context: "Context", word_choice: Sequence[str]) -> Iterable[str]:
    from gpuctl.domain.market.offers import Availability

    every = [each for provider in SUPPORTED for each in context.wiring.catalog.types(provider)]
    return [each.name for each in every if each.availability is not Availability.RETIRED]


def _regions(context: "Context", word_choice: Sequence[str]) -> Iterable[str]:
    """The regions of the provider or the instance type on the command line, else those of every provider."""
    providers = [provider for provider in SUPPORTED if provider in word_choice]
    for word in word_choice:
        with suppress(UsageError):
            providers = [context.wiring.catalog.find(word).provider]
    return sorted(region for provider in providers or SUPPORTED for region in context.wiring.catalog.regions(provider))


TAG = ParameterType("K=V", _tag)
CIDR = ParameterType("CIDR", _cidr, lambda *_: ("auto", "none"))
ID = ParameterType("ID", _text, _active_ids)
ANY_ID = ParameterType("ID", _text, _all_ids)
INSTANCE_TYPE = ParameterType("TYPE", _text, _instance_types)
REGION = ParameterType("REGION", _text, _regions)
