"""Profiles: run options that a project keeps under a name. What the command line says goes before them."""

from __future__ import annotations

import difflib
from dataclasses import replace

from llmbatch.config import Config
from llmbatch.config.section import Source
from llmbatch.errors import ConfigError, UsageError
from llmbatch.invocation.options import OPTIONS, Settings, settings_of

_PATHS = frozenset({"cassette", "results"})


def with_profile(settings: Settings, config: Config) -> Settings:
    """Return the settings with what their profile says of the options that were not given otherwise.

    Paths of a profile are relative to the project's root. Raises ConfigError for a profile or an option that is not
    there, and for a value that cannot be.
    """
    name = settings.profile
    if name is None:
        return settings
    if name not in config.profiles:
        raise _unknown(name, config)
    said = dict(config.profiles[name])
    for option, value in config.profiles[name].items():
        if option not in OPTIONS or option == "profile":
            near = difflib.get_close_matches(option, OPTIONS, n=1)
            raise ConfigError(
                f"profiles.{name} has `{option}`, which is no run option",
                place=_place(config, name, option),
                known=", ".join(OPTIONS),
                fix=f"write `{near[0]}`" if near else "remove it",
            )
        if option in _PATHS:
            said[option] = config.root / str(value)
    try:
        profile = settings_of(said)
    except UsageError as error:
        place = _place(config, name)
        raise ConfigError(f"profiles.{name}: {error.what}", place=place, **error.details) from error
    taken = {option: getattr(profile, option) for option in said if option not in settings.origins}
    origins = dict.fromkeys(taken, f"profile {name}")
    return replace(settings, **taken, origins={**settings.origins, **origins})


def _place(config: Config, *path: str) -> str | None:
    if config.source is None:
        return None
    return Source(config.source, config.source.read_text(encoding="utf-8-sig")).place(("profiles", *path))


def _unknown(name: str, config: Config) -> ConfigError:
    near = difflib.get_close_matches(name, config.profiles, n=1)
    file = "llmbatch.toml" if config.source is None else config.source.name
    return ConfigError(
        f"no profile is named `{name}`",
        profiles=", ".join(sorted(config.profiles)) or "none",
        fix=f"write `{near[0]}`" if near else f"add [profiles.{name}] to {file}",
    )
