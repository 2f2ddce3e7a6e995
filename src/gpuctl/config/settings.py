"""The values in force of all settings, and the source of each."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gpuctl.config.file import read_file
from gpuctl.config.schema import KEYS, Config, SettingKey, config_of, key_of, spelled_path
from gpuctl.domain.duration import as_typed
from gpuctl.errors import UsageError
from gpuctl.providers.registry import all_facts


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its value (None where nothing sets it) and its source, such as `GPUCTL_USER` or `[profile.prod]`."""

    path: tuple[str, ...]
    key: SettingKey
    value: Any
    source: str

    @property
    def name(self) -> str:
        """The name as TOML spells it."""
        return spelled_path(self.path)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that the config file, the selected profile or a `GPUCTL_*` variable sets, with the value in force."""

    present: Mapping[tuple[str, ...], Setting]

    @property
    def config(self) -> Config:
        """The values in force."""
        return config_of({path: setting.value for path, setting in self.present.items()})

    @property
    def by_variable(self) -> list[tuple[str, Setting]]:
        """The settings that a variable sets, each with the name of the variable."""
        return [
            (setting.source, setting) for setting in self.present.values() if setting.source == setting.key.variable
        ]

    def source(self, *path: str) -> str | None:
        """The source of that setting's value; None where nothing of gpuctl sets it."""
        return self.present[path].source if path in self.present else None

    def every(self, environ: Mapping[str, str]) -> Iterator[Setting]:
        """Every setting in the order of their declarations, those without a value too."""
        for key in KEYS.values():
            if key.variable is not None:
                yield self.present.get(key.path) or _unset(key, environ)
            else:
                yield from (setting for setting in self.present.values() if setting.key is key)


def read_settings(
    file: Path, *, is_explicit: bool, environ: Mapping[str, str], profile: str | None = None, sandbox: bool = False
) -> Settings:
    """The settings, with that profile over the file. UsageError for anything wrong in them, and an unknown profile."""
    by_file, profiles = read_file(file, is_explicit=is_explicit)
    if profile is not None and profile not in profiles:
        near = get_close_matches(profile, profiles, n=1)
        raise UsageError(
            f"profile {as_typed(profile)} does not exist in `{file}`",
            hint=f"did you mean `--profile {near[0]}`?" if near else f"add a section [profile.{profile[:40]}] to it",
        )
    present: dict[tuple[str, ...], Setting] = {}
    for source, values in (("config", by_file), (f"[profile.{profile}]", profiles.get(profile or "", {}))):
        present |= {path: Setting(path, key_of(path) or KEYS[path], values[path], source) for path in values}
    present |= {setting.path: setting for setting in _by_variable(environ)}
    if not sandbox:
        _check_credentials(present, f"[profile.{profile}]", environ)
    return Settings(present)


def _by_variable(environ: Mapping[str, str]) -> Iterator[Setting]:
    for key in KEYS.values():
        name = key.variable
        if name is None or name not in environ:
            continue
        text = environ[name]
        if not text.strip():
            raise UsageError(f"{name} is empty", hint=f"unset {name}")
        texts = [part.strip() for part in text.split(",") if part.strip()] if key.kind.is_list else [text]
        values = tuple(key.kind.read(part, name) for part in texts)
        yield Setting(key.path, key, values if key.kind.is_list else values[0], name)


def _unset(key: SettingKey, environ: Mapping[str, str]) -> Setting:
    for variable in key.variables:
        if environ.get(variable):
            return Setting(key.path, key, environ[variable], variable)
    return Setting(key.path, key, key.default, "" if key.default is None else "default")


def _check_credentials(present: Mapping[tuple[str, ...], Setting], profile: str, environ: Mapping[str, str]) -> None:
    """Raise UsageError where the selected profile and a variable of a cloud name different credentials.

    Neither is a safe guess.
    """
    for facts in all_facts():
        setting = present.get((facts.name, facts.login))
        for variable in setting.key.variables if setting is not None and setting.source == profile else ():
            ambient = environ.get(variable)
            if setting and ambient and setting.value != ambient:
                raise UsageError(
                    f"{profile} uses {facts.title} {facts.login} `{setting.value}`, but {variable} is "
                    f"{as_typed(ambient)}",
                    hint=f"unset {variable}, or leave out `--profile`",
                )
