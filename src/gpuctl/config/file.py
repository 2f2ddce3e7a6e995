"""The config file: the values it sets, checked against the declarations."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gpuctl.config.schema import ANY, SettingKey, Values, key_of, known_below, spelled_path
from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError


def read_file(path: Path, *, is_explicit: bool) -> tuple[Values, dict[str, Values]]:
    """The values that the file sets, and those that each of its profiles sets over them.

    UsageError for a file that is named and missing, and for anything in it that is wrong, in every profile.
    """
    tree = _parsed(path, is_explicit=is_explicit)
    profiles = tree.pop("profile", {})
    if not isinstance(profiles, dict):
        raise _invalid(("profile",), path, "a section")
    values = dict(_values(tree, (), (), path))
    by_profile: dict[str, Values] = {}
    for name, section in profiles.items():
        if not isinstance(section, dict):
            raise _invalid(("profile", name), path, "a section")
        by_profile[name] = dict(_values(section, (), ("profile", name), path))
    return values, by_profile


def _parsed(path: Path, *, is_explicit: bool) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if is_explicit:
            raise UsageError(f"config file `{path}` does not exist", hint="check `--config`, or leave it out") from None
        return {}
    except OSError as error:
        raise UsageError(f"the config file `{path}` cannot be read: {error.strerror}") from error
    import tomllib

    try:
        # With a byte order mark in front, as some editors write one.
        return tomllib.loads(text.decode("utf-8-sig"))
    except ValueError as error:
        raise UsageError(f"the config file `{path}` is not valid TOML: {' '.join(str(error).split())}") from error


def _values(
    section: Mapping[str, Any], below: tuple[str, ...], prefix: tuple[str, ...], file: Path
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting below that section with its value."""
    known = known_below(below)
    for name, value in section.items():
        path = (*below, name)
        if name not in known and ANY not in known:
            raise _unknown(name, known, (*prefix, *below), file)
        if ANY in known:
            _check_chosen(below, name, file)
        key = key_of(path)
        if key is not None:
            yield path, _read(key, value, (*prefix, *path), file)
        elif isinstance(value, dict):
            yield from _values(value, path, prefix, file)
        else:
            raise _invalid((*prefix, *path), file, "a section")


def _read(key: SettingKey, value: Any, path: tuple[str, ...], file: Path) -> Any:
    kind, where = key.kind, spelled_path(path)
    if kind.is_list and isinstance(value, list) and all(map(_is_text, value)):
        return tuple(kind.read(item, where) for item in value)
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind.is_list or not (is_number if kind.is_number else _is_text(value)):
        raise _invalid(path, file, kind.expected)
    return kind.read(str(value), where)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_chosen(below: tuple[str, ...], name: str, file: Path) -> None:
    """Raise UsageError for a name that a user cannot choose: the tag of a budget is one `key=value`."""
    key, equals, _ = name.partition("=")
    if below == ("budget", "tag") and not (key and equals):
        raise UsageError(
            f"{as_typed(name)} under [budget.tag] in `{file}` is not a tag", hint='[budget.tag."project=x"]'
        )
    if not name.strip():
        raise UsageError(f"a name under [{spelled_path(below)}] in `{file}` is empty")


def _unknown(name: str, known: list[str], section: tuple[str, ...], file: Path) -> UsageError:
    names = known if section else [*known, "profile"]
    near = get_close_matches(name.removeprefix("instance:"), names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(names)}"
    where = f"[{spelled_path(section)}] " if section else ""
    return UsageError(f"unknown key {where}{as_typed(name)} in `{file}`", hint=hint)


def _invalid(path: tuple[str, ...], file: Path, expected: str) -> UsageError:
    return UsageError(f"`{spelled_path(path)}` in `{file}` must be {expected}")
