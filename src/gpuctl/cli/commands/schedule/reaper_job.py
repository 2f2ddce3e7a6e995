"""The reaper of this invocation's state as a scheduler must run it: the command, the variables, the log."""

import os
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

from gpuctl.cli.commands.schedule.programs import own_program, runner
from gpuctl.cli.context import Context
from gpuctl.domain.instance import ProviderName
from gpuctl.domain.schedule import Installed
from gpuctl.errors import UsageError
from gpuctl.home.environment import home_of, login_name, path_of
from gpuctl.home.schedule import ScheduleNote, error_log_in
from gpuctl.platform import Platform
from gpuctl.providers.registry import all_facts
from gpuctl.services.scheduling import cron, launchd, systemd
from gpuctl.services.scheduling.cron import runs_cron
from gpuctl.services.scheduling.job import ReaperJob, key_of
from gpuctl.services.scheduling.limits import limits
from gpuctl.services.scheduling.overdue import patience
from gpuctl.services.scheduling.program import missing_program
from gpuctl.services.scheduling.schedulers import Scheduler, Schedulers
from gpuctl.services.scheduling.status import ScheduleStatus
from gpuctl.store.opening import secrets_of
from gpuctl.store.registry import FILE, scheme_of

# What credentials of every cloud need, besides what each cloud's facts name. Never a secret: anybody who can read the
# crontab or the units can read these.
_CARRIED = ("HTTPS_PROXY", "https_proxy", "NO_PROXY", "no_proxy", "GPUCTL_STATE_PLAINTEXT")
_OF_ENGINES = ("PGHOST", "PGPORT", "PGUSER", "PGDATABASE", "PGSERVICE", "PGSSLMODE")
_CARRIED_PATHS = ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")
_PATHS_OF_ENGINES = ("PGPASSFILE", "PGSERVICEFILE", "PGSSLROOTCERT")
_DEFAULT_PATH = ("/usr/bin", "/bin")


def log_in(folder: Path) -> Path:
    """The log of the reaper on a schedule, in the folder of its state."""
    return folder / "reap.log"


def command_of(context: Context, folder: Path) -> tuple[str, ...]:
    """The command that reaps this state with these settings, from a bare environment, and logs into that folder."""
    return (*own_program(context.environ), "reap", *_options_of_the_state(context), "--log", str(log_in(folder)))


def pools_command_of(context: Context, folder: Path) -> tuple[str, ...]:
    """The command of a tick over the pools of this state, likewise."""
    log = str(folder / "pools.log")
    return (*own_program(context.environ), "pool", "scale", *_options_of_the_state(context), "--log", log)


def check_command_of(context: Context) -> tuple[str, ...]:
    """The command that opens the credentials which `command_of` needs, and prints for each what it got, as JSON."""
    return (*own_program(context.environ), "schedule", "prove", *_options_of_the_state(context), "-o", "json")


def _options_of_the_state(context: Context) -> list[str]:
    url = context.wiring.state_url
    if secrets_of(url):
        raise UsageError(
            "the URL of the state has a password, and everybody can read the command of a schedule",
            hint="leave the password out of the URL, and put it into the file ~/.pgpass",
        )
    named = ["--state", url]
    if context.wiring.config_path.exists():
        named += ["--config", str(context.wiring.config_path)]
    if context.selection.profile is not None:
        named += ["--profile", context.selection.profile]
    return named


def variables_of(context: Context) -> dict[str, str]:
    """The variables of this environment that select providers and settings and hold no secret.

    PATH is among them: a credential program, such as a provider's own command line, is often outside the PATH of cron
    and systemd.
    """
    environ = context.environ
    carried = {"PATH": search_path(environ.get("PATH", ""), context.platform)}
    carried |= {name: environ[name] for name in _carried_variables() if environ.get(name) and "@" not in environ[name]}
    paths = (*(name for facts in all_facts() for name in facts.variables.paths), *_CARRIED_PATHS, *_PATHS_OF_ENGINES)
    carried |= {name: str(path_of(environ[name])) for name in paths if environ.get(name)}
    set_here = context.wiring.settings.by_variable
    carried |= {name: environ[name] for name, setting in set_here if setting.path[0] not in ("hooks", "state")}
    return carried


def _carried_variables() -> tuple[str, ...]:
    return (*(name for facts in all_facts() for name in facts.variables.carried), *_CARRIED, *_OF_ENGINES)


def search_path(path: str, platform: Platform) -> str:
    """The folders of that path in which a program started from anywhere finds others, and those of the system.

    In WSL without those of Windows: they hold no programs that credentials need, and cron reads no line so long.
    """
    folders = [folder for folder in path.split(os.pathsep) if folder.startswith("/") and folder.isprintable()]
    present = [folder for folder in folders if os.path.isdir(folder) and not platform.is_on_windows_drive(Path(folder))]
    homebrew = ("/opt/homebrew/bin",) if platform.is_mac else ()
    return os.pathsep.join(dict.fromkeys((*present, *homebrew, "/usr/local/bin", *_DEFAULT_PATH)))


def bare_environment() -> dict[str, str]:
    """What cron gives to every job, and systemd too, which adds to it: nothing of the shell's."""
    import pwd

    known = {"PATH": os.pathsep.join(_DEFAULT_PATH), "SHELL": "/bin/sh"}
    try:
        entry = pwd.getpwuid(os.getuid())
    except KeyError:
        return known
    return {**known, "HOME": entry.pw_dir, "LOGNAME": entry.pw_name, "USER": entry.pw_name}


def variables_left_out(context: Context) -> list[str]:
    """The names of the variables that the reaper will miss, because they hold secrets."""
    variables = [facts.variables for facts in all_facts()]
    secrets = [name for cloud in variables for name in (*cloud.secrets, *cloud.refused) if context.environ.get(name)]
    hooks = [name for name, setting in context.wiring.settings.by_variable if setting.path[0] == "hooks"]
    proxies = [name for name in _carried_variables() if "@" in context.environ.get(name, "")]
    return [*secrets, *hooks, *proxies]


def limits_of(context: Context, job: ReaperJob) -> list[str]:
    """What the operating system does to that job, as warnings."""
    files = [Path(job.argv[0]), context.wiring.config_path]
    if scheme_of(context.wiring.state_url) == FILE:
        files.append(Path(context.wiring.state_url))
    home = home_of(context.environ) or Path("/")
    environ = context.environ
    return limits(context.platform, job, files, home, environ.get("WSL_DISTRO_NAME"), login_name(environ))


def providers_in_use(context: Context) -> list[tuple[ProviderName, str | None]]:
    """The providers that the config or the environment names, each with its profile."""
    configured = {
        name: cloud.profile for name, cloud in context.wiring.config.clouds.items() if cloud.region or cloud.profile
    }
    named = [facts.name for facts in all_facts() if any(context.environ.get(name) for name in facts.variables.in_use)]
    return list({**dict.fromkeys(named), **configured}.items())


class StateSchedule:
    """The schedule of this invocation's state: its keys, the note of it, and the schedulers that may have it.

    On macOS cron is among them only if `wanted` or the note names it: to run `crontab` there opens a dialog.
    """

    def __init__(self, context: Context, wanted: str | None = None) -> None:
        self.context = context
        installed, location = self.note, context.wiring.state_url
        state = installed.state if installed and _is_same_file(installed.state, location) else location
        self.key, self.pools_key = key_of(state), key_of(f"pools of {state}")
        kinds = (wanted, installed.kind if installed else None)
        self.schedulers = Schedulers(*_schedulers(context, uses_cron=cron.KIND in kinds))

    @property
    def note(self) -> Installed | None:
        """What was installed for this state; None where nothing was."""
        folder = self.context.wiring.state_folder
        return None if folder is None else ScheduleNote(folder).read()

    def status(self) -> ScheduleStatus:
        """What is known of the schedule now. ScheduleError if a scheduler's files cannot be read."""
        matching = self.schedulers.find(self.key)
        note, times, now = self.note, self.context.wiring.state.reaper.read(), self.context.clock.now()
        if matching is None:
            return ScheduleStatus(None, None, note, times, now)
        scheduler, job = matching
        missing = missing_program(job.argv[0])
        if missing is not None:
            return ScheduleStatus(scheduler.kind, job, note, times, now, f"`{missing}` does not exist")
        # A reaper that runs proves more than what is seen of the scheduler.
        is_running = times.last_reap_at is not None and timedelta(0) <= now - times.last_reap_at < patience(job.every)
        return ScheduleStatus(
            scheduler.kind, job, note, times, now, None if is_running else scheduler.problem(self.key), scheduler.remedy
        )


def _schedulers(context: Context, *, uses_cron: bool) -> Iterator[Scheduler]:
    run, home = runner(context.environ), home_of(context.environ)
    if not context.platform.is_mac:
        config = context.environ.get("XDG_CONFIG_HOME", "")
        if config.startswith("/") or home is not None:
            folder = Path(config) if config.startswith("/") else Path(home or "/") / ".config"
            yield systemd.Timers(run, folder / "systemd" / "user")
        yield cron.Crontab(run, lambda: runs_cron(context.platform.root))
        return
    if home is not None:
        folder, error_log = home / "Library" / "LaunchAgents", error_log_in(context.wiring.state_folder or home)
        yield launchd.LaunchAgents(run, folder, os.getuid(), error_log, context.clock)
    if uses_cron:
        # launchd starts cron there once a crontab exists.
        yield cron.Crontab(run, lambda: None)


def _is_same_file(path: str, other: str) -> bool:
    """Whether both spellings name one file, as on a file system that ignores case."""
    try:
        return os.path.samefile(path, other)
    except (OSError, ValueError):
        return False
