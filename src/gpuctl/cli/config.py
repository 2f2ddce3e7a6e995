"""The settings: flag, then `GPUCTL_*`, then the config file, then the default."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from gpuctl.domain.duration import parse_duration, shown, spelled
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.request import DEFAULT_MAX_TTL, HIGHEST_MAX_TTL, MIN_TTL
from gpuctl.domain.tags import STATE_ID
from gpuctl.errors import UsageError


@dataclass(frozen=True, slots=True)
class CloudConfig:
    """What the config says about one cloud. `regions` are further ones for the reaper to sweep."""

    region: str | None = None
    regions: tuple[str, ...] = ()
    profile: str | None = None
    image: str | None = None
    subnet: str | None = None


@dataclass(frozen=True, slots=True)
class Config:
    """Every setting with its value in force."""

    user: str | None = None
    max_ttl: timedelta = DEFAULT_MAX_TTL
    confirm_above: Decimal = Decimal(10)
    keep_ended: timedelta = timedelta(days=7)
    reap_state_ids: tuple[str, ...] = ()
    clouds: Mapping[ProviderName, CloudConfig] = field(default_factory=dict)

    def cloud(self, name: ProviderName) -> CloudConfig:
        """What is set for that cloud; nothing where it is not mentioned."""
        return self.clouds.get(name, CloudConfig())


_DOLLARS = re.compile(r"\d{1,9}(\.\d{1,6})?", re.ASCII)
_TEXT = "a text"
_TEXTS = "a list of texts"
_PLAIN = {"user": _TEXT, "max_ttl": _TEXT, "confirm_above": "a number", "keep_ended": _TEXT, "reap_state_ids": _TEXTS}
_OF_CLOUD = {
    ProviderName.AWS: {"region": _TEXT, "regions": _TEXTS, "profile": _TEXT, "image": _TEXT, "subnet": _TEXT},
    ProviderName.AZURE: {"region": _TEXT, "regions": _TEXTS, "image": _TEXT},
}


def path_of(text: str) -> Path:
    """The file that a person named, from the root on. UsageError where that cannot be told."""
    try:
        return Path(text).expanduser().absolute()
    except RuntimeError:
        raise UsageError(f"there is no home folder for {shown(text)}", hint="name the file from `/` on") from None
    except FileNotFoundError:
        raise UsageError(
            f"{shown(text)} is in the working folder, and that was deleted", hint="name the file from `/` on"
        ) from None


def read_config(path: Path, *, is_explicit: bool, environ: Mapping[str, str]) -> Config:
    """The settings in force. UsageError for a file that is named and missing, and for anything in it that is wrong."""
    told = _parsed(path, is_explicit=is_explicit)
    _refuse_unknown(told, [*_PLAIN, *_OF_CLOUD], path, "")
    clouds = {}
    for name, keys in _OF_CLOUD.items():
        section = told.get(name, {})
        if not isinstance(section, dict):
            raise _wrong(path, f"[{name}]", "a section")
        _refuse_unknown(section, list(keys), path, f"[{name}] ")
        clouds[name] = _cloud(name, keys, section, path, environ)
    plain = {key: _value(key, kind, told, path, environ, f"GPUCTL_{key.upper()}") for key, kind in _PLAIN.items()}
    return _config(plain, clouds)


def _parsed(path: Path, *, is_explicit: bool) -> dict[str, Any]:
    try:
        text = path.read_bytes()
    except FileNotFoundError:
        if is_explicit:
            raise UsageError(f"there is no config file `{path}`", hint="mend `--config`, or leave it out") from None
        return {}
    except OSError as error:
        raise UsageError(f"the config file `{path}` cannot be read: {error.strerror}") from error
    import tomllib

    try:
        return tomllib.loads(text.decode())
    except ValueError as error:
        raise UsageError(f"the config file `{path}` is no TOML: {' '.join(str(error).split())}") from error


def _refuse_unknown(told: Mapping[str, Any], known: list[str], path: Path, where: str) -> None:
    for key in told:
        if key not in known:
            near = get_close_matches(key, known, n=1)
            hint = f"did you mean `{near[0]}`?" if near else f"known keys: {', '.join(known)}"
            raise UsageError(f"unknown key {where}{shown(key)} in `{path}`", hint=hint)


def _value(key: str, kind: str, told: Mapping[str, Any], path: Path, environ: Mapping[str, str], variable: str) -> Any:
    text = environ.get(variable)
    if text is not None:
        if not text.strip():
            raise UsageError(f"{variable} is empty", hint=f"unset {variable}")
        return tuple(one.strip() for one in text.split(",") if one.strip()) if kind is _TEXTS else text
    value = told.get(key)
    if value is None:
        return None
    if kind is _TEXTS and isinstance(value, list) and all(isinstance(one, str) and one for one in value):
        return tuple(value)
    if kind is _TEXT and isinstance(value, str) and value.strip():
        return value
    if kind == "a number" and isinstance(value, int | float) and not isinstance(value, bool):
        return str(value)
    raise _wrong(path, key, kind)


def _cloud(
    name: ProviderName, keys: Mapping[str, str], section: Mapping[str, Any], path: Path, environ: Mapping[str, str]
) -> CloudConfig:
    values = {
        key: _value(key, kind, section, path, environ, f"GPUCTL_{name.upper()}_{key.upper()}")
        for key, kind in keys.items()
    }
    return CloudConfig(**{key: value for key, value in values.items() if value is not None})


def _config(plain: Mapping[str, Any], clouds: Mapping[ProviderName, CloudConfig]) -> Config:
    default = Config()
    max_ttl = parse_duration(plain["max_ttl"], option="max_ttl") if plain["max_ttl"] else default.max_ttl
    if not MIN_TTL <= max_ttl <= HIGHEST_MAX_TTL:
        raise UsageError(f"max_ttl must be {spelled(MIN_TTL)} to {spelled(HIGHEST_MAX_TTL)}, not `{spelled(max_ttl)}`")
    for state_id in plain["reap_state_ids"] or ():
        if not STATE_ID.fullmatch(state_id):
            raise UsageError(f"reap_state_ids holds {shown(state_id)}, which is no state id")
    return Config(
        user=plain["user"],
        max_ttl=max_ttl,
        confirm_above=_dollars(plain["confirm_above"]) if plain["confirm_above"] else default.confirm_above,
        keep_ended=parse_duration(plain["keep_ended"], option="keep_ended")
        if plain["keep_ended"]
        else default.keep_ended,
        reap_state_ids=plain["reap_state_ids"] or (),
        clouds=clouds,
    )


def _dollars(text: str) -> Decimal:
    if not _DOLLARS.fullmatch(text):
        raise UsageError(f"confirm_above must be dollars, such as `10` or `2.50`, not {shown(text)}")
    return Decimal(text)


def _wrong(path: Path, key: str, kind: str) -> UsageError:
    return UsageError(f"`{key}` in `{path}` must be {kind}")
