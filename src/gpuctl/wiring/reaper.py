"""The reaper of one invocation: what `gpuctl reap` runs, and any other program may run."""

from gpuctl.services.reap.loop import ReapLoop
from gpuctl.services.reap.reaper import ReapOptions
from gpuctl.services.reap.restore import ConfiguredRegion
from gpuctl.services.runtime import Runtime
from gpuctl.wiring.invocation import Wiring


def reap_options(wiring: Wiring, *, sweep: bool = False, dry_run: bool = False, max_orphans: int = 3) -> ReapOptions:
    """These options, and what the settings add to them."""
    return ReapOptions(
        sweep=sweep,
        dry_run=dry_run,
        max_orphans=max_orphans,
        reap_state_ids=frozenset(wiring.config.reap_state_ids),
        archive_after=wiring.config.archive_after,
        places=configured_regions(wiring),
    )


def open_reaper(wiring: Wiring, options: ReapOptions, *, is_attended: bool = False) -> ReapLoop:
    """The reaper of the selected state. `is_attended`: a person reads its reports, so none is held back."""

    def open_runtime() -> Runtime:
        wiring.forget_credentials()
        return wiring.runtime

    return ReapLoop(
        open_runtime,
        wiring.require_state,
        wiring.state,
        wiring.holder,
        wiring.clock,
        options,
        is_attended,
        wiring.platform_name,
    )


def configured_regions(wiring: Wiring) -> tuple[ConfiguredRegion, ...]:
    """The regions that the config names to start instances in or to sweep: provider, profile, region."""
    return tuple(
        (name, None if wiring.sandbox else cloud.profile, region)
        for name, cloud in wiring.config.clouds.items()
        for region in dict.fromkeys((*([cloud.region] if cloud.region else []), *cloud.sweep_regions))
    )
