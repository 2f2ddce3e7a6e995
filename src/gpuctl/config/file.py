"""The config file, read against the table of settings: what it says, and what in it is wrong."""

from collections.abc import Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gpuctl.config.schema import ANY, Key, Kind, key_of, known_below, spelled_path
from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError

Told = dict[tuple[str, ...], Any]


def read_file(path: Path, *, is_explicit: bool) -> tuple[Told, dict[str, Told]]:
    """What the file says by setting, and what each of its profiles says over it.

    UsageError for a file that is named and missing, and for anything in it that is wrong, chosen profile or not.
    """
    tree = _parsed(path, is_explicit=is_explicit)
    profiles = tree.pop("profile", {})
    if not isinstance(profiles, dict):
        raise _wrong(("profile",), path, "a section")
    told = dict(_leaves(tree, (), (), path))
    overlays = {}
    for name, section in profiles.items():
        if not isinstance(section, dict):
            raise _wrong(("profile", name), path, "a section")
        overlays[name] = dict(_leaves(section, (), ("profile", name), path))
    return told, overlays


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


def _leaves(
    section: Mapping[str, Any], below: tuple[str, ...], prefix: tuple[str, ...], file: Path
) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every setting below that section with its value, read as the table says."""
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
            yield from _leaves(value, path, prefix, file)
        else:
            raise _wrong((*prefix, *path), file, "a section")


def _read(key: Key, value: Any, path: tuple[str, ...], file: Path) -> Any:
    kind, where = key.kind, spelled_path(path)
    if kind.is_plural and isinstance(value, list) and all(_is_text(item) for item in value):
        return tuple(kind.read(item, where) for item in value)
    text = _as_text(value, kind)
    if kind.is_plural or text is None:
        raise _wrong(path, file, kind.wanted)
    return kind.read(text, where)


def _as_text(value: Any, kind: Kind) -> str | None:
    if kind.is_number:
        return str(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
    return value if _is_text(value) else None


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value.strip())


def _check_chosen(below: tuple[str, ...], name: str, file: Path) -> None:
    """A name that a person chose: a budget's tag is one `key=value`."""
    key, equals, _ = name.partition("=")
    if below == ("budget", "tag") and not (key and equals):
        raise UsageError(f"{shown(name)} under [budget.tag] in `{file}` is not a tag", hint='[budget.tag."project=x"]')
    if not name.strip():
        raise UsageError(f"a name under [{spelled_path(below)}] in `{file}` is empty")


def _unknown(name: str, known: list[str], section: tuple[str, ...], file: Path) -> UsageError:
    names = known if section else [*known, "profile"]
    near = get_close_matches(name.removeprefix("instance:"), names, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(names)}"
    where = f"[{spelled_path(section)}] " if section else ""
    return UsageError(f"unknown key {where}{shown(name)} in `{file}`", hint=hint)


def _wrong(path: tuple[str, ...], file: Path, wanted: str) -> UsageError:
    return UsageError(f"`{spelled_path(path)}` in `{file}` must be {wanted}")
