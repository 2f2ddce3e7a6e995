"""The value in force of every setting, and where it comes from."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gpuctl.config.file import Told, read_file
from gpuctl.config.schema import KEYS, Key, key_of, spelled_path
from gpuctl.config.values import DEFAULTS, Config, config_of
from gpuctl.domain.duration import shown
from gpuctl.errors import UsageError
from gpuctl.providers.registry import all_facts

# What decides where neither a flag nor gpuctl's own settings do; the SDKs read these.
_CLOUDS_OWN: Mapping[tuple[str, ...], tuple[str, ...]] = {
    (facts.name, setting.name): setting.variables for facts in all_facts() for setting in facts.settings
}


@dataclass(frozen=True, slots=True)
class Setting:
    """One setting: its value (None where nothing sets it) and its source, such as `GPUCTL_USER` or `[profile.prod]`."""

    path: tuple[str, ...]
    key: Key
    value: Any
    source: str

    @property
    def name(self) -> str:
        """As TOML spells it."""
        return spelled_path(self.path)


@dataclass(frozen=True, slots=True)
class Settings:
    """Everything that is set: in the environment, in the profile that was chosen, and in the file."""

    file: Path
    profile: str | None
    by_variable: Told
    by_profile: Told
    by_file: Told

    @property
    def config(self) -> Config:
        """The values in force; a profile goes over the file, the environment over both."""
        return config_of({**self.by_file, **self.by_profile, **self.by_variable})

    def source(self, *path: str) -> str | None:
        """Where that setting's value comes from; None where nothing of ours sets it."""
        if path in self.by_variable:
            return (key_of(path) or KEYS[path]).variable
        if path in self.by_profile:
            return f"[profile.{self.profile}]"
        return "config" if path in self.by_file else None

    def every(self, environ: Mapping[str, str]) -> Iterator[Setting]:
        """Every setting in the table's order, those without a value too."""
        told = {**self.by_file, **self.by_profile, **self.by_variable}
        chosen = [path for path in told if path not in KEYS]
        for key in KEYS.values():
            if key.variable is not None:
                yield self._setting(key.path, key, told, environ)
            for path in chosen:
                if key_of(path) is key:
                    yield self._setting(path, key, told, environ)

    def _setting(self, path: tuple[str, ...], key: Key, told: Told, environ: Mapping[str, str]) -> Setting:
        source = self.source(*path)
        if source is not None:
            return Setting(path, key, told[path], source)
        for variable in _CLOUDS_OWN.get(path, ()):
            if environ.get(variable):
                return Setting(path, key, environ[variable], variable)
        return Setting(path, key, DEFAULTS.get(path), "default" if path in DEFAULTS else "")


def read_settings(
    file: Path, *, is_explicit: bool, environ: Mapping[str, str], profile: str | None = None, sandbox: bool = False
) -> Settings:
    """What is set, with that profile over the file. UsageError for anything wrong in it, and for an unknown profile."""
    told, profiles = read_file(file, is_explicit=is_explicit)
    if profile is not None and profile not in profiles:
        near = get_close_matches(profile, profiles, n=1)
        raise UsageError(
            f"profile {shown(profile)} does not exist in `{file}`",
            hint=f"did you mean `--profile {near[0]}`?" if near else f"add a section [profile.{profile[:40]}] to it",
        )
    overlay = profiles[profile] if profile is not None else {}
    settings = Settings(file, profile, dict(_by_variable(environ)), overlay, told)
    if not sandbox:
        _refuse_two_logins(settings, environ)
    return settings


def _by_variable(environ: Mapping[str, str]) -> Iterator[tuple[tuple[str, ...], Any]]:
    for key in KEYS.values():
        text = environ.get(key.variable) if key.variable else None
        if text is None or key.variable is None:
            continue
        if not text.strip():
            raise UsageError(f"{key.variable} is empty", hint=f"unset {key.variable}")
        if key.kind.is_plural:
            parts = [part.strip() for part in text.split(",") if part.strip()]
            yield key.path, tuple(key.kind.read(part, key.variable) for part in parts)
        else:
            yield key.path, key.kind.read(text, key.variable)


def _refuse_two_logins(settings: Settings, environ: Mapping[str, str]) -> None:
    """A profile that names other credentials than a variable of the cloud does: no guess is safe."""
    for facts in all_facts():
        path = (facts.name, facts.login)
        wanted = settings.by_profile.get(path)
        for variable in _CLOUDS_OWN[path]:
            ambient = environ.get(variable)
            if wanted and ambient and wanted != ambient and path not in settings.by_variable:
                raise UsageError(
                    f"profile `{settings.profile}` uses the {facts.title} {facts.login} `{wanted}`, and {variable} is "
                    f"{shown(ambient)}",
                    hint=f"unset {variable}, or leave out `--profile`",
                )
