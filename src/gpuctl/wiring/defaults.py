"""The settings of an invocation that apply to a launch where no option is given."""

from gpuctl.domain.instance import ProviderName
from gpuctl.services.launch.offers import Defaults, DefaultsOf
from gpuctl.wiring.invocation import Wiring


def defaults_of(wiring: Wiring) -> DefaultsOf:
    """The settings of each provider that apply where no option is given."""

    def of(name: ProviderName) -> Defaults:
        settings = wiring.config.cloud(name)
        return Defaults(
            region=settings.region,
            region_source=wiring.settings.source(name.value, "region") or "config",
            image=settings.image,
            subnet=settings.subnet,
            profile=None if wiring.sandbox else settings.profile,
        )

    return of
