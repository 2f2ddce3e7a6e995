"""Options and arguments that several commands have, each with the same text everywhere."""

from datetime import timedelta
from decimal import Decimal
from typing import Annotated

from gpuctl.cli.parameters import (
    ANY_ID,
    ANY_PROVIDER,
    DURATION,
    GIB,
    ID,
    INSTANCE_TYPE,
    MODEL,
    PROVIDER,
    REGION,
    TAG,
    TASK,
    TEXT,
    USD,
    USER,
    Tag,
    argument,
    flag,
    option,
)
from gpuctl.domain.instance import ProviderName
from gpuctl.providers.registry import SUPPORTED, example

INSTANCE_ID_HELP = "Instance ID, name, or ID prefix (4+ characters)"
PROVIDERS = f"{', '.join(SUPPORTED[:-1])} or {SUPPORTED[-1]}"
INSTANCE_TYPE_HELP = f"Instance type, such as {example().example_type}"
_PROVIDER = f"Only this provider: {PROVIDERS}"

InstanceId = Annotated[str, argument(ID, INSTANCE_ID_HELP)]
AnyInstanceId = Annotated[str, argument(ANY_ID, INSTANCE_ID_HELP)]
InstanceType = Annotated[str, argument(INSTANCE_TYPE, INSTANCE_TYPE_HELP)]

User = Annotated[str | None, option(USER, "Only instances of this user")]
Task = Annotated[str | None, option(TASK, "Only instances of this task")]
Tags = Annotated[list[Tag] | None, option(TAG, "Only instances with this tag (repeatable)", "--tag")]
# Of a record, also one that a newer gpuctl wrote; of an offer, only where instances can be started.
AnyProvider = Annotated[ProviderName | None, option(ANY_PROVIDER, _PROVIDER)]
Provider = Annotated[ProviderName | None, option(PROVIDER, _PROVIDER)]
Region = Annotated[str | None, option(REGION, "Only this region")]

Gpu = Annotated[str | None, option(MODEL, "GPU model, such as T4 or 'A100 80GB'")]
GpuMemory = Annotated[Decimal | None, option(GIB, "Minimum memory per GPU in GiB", "--min-gpu-memory")]
MaxPrice = Annotated[Decimal | None, option(USD, "Maximum compute price in USD per hour")]
PricedRegion = Annotated[str | None, option(REGION, "Region [default: from config, else cheapest]")]
Purpose = Annotated[str, option(TEXT, "Purpose whose past runs are used by --by work")]
Spot = Annotated[bool, flag("Use spot prices", "--spot")]

AllowUnknownPrice = Annotated[bool, flag("Skip budget checks for instances of unknown price", "--allow-unknown-price")]
DryRun = Annotated[bool, flag("Show planned actions; change nothing", "--dry-run")]
Refresh = Annotated[bool, flag("Query the providers first", "--refresh")]
Since = Annotated[timedelta | None, option(DURATION, "Only the last TIME, such as 1d")]
Timeout = Annotated[timedelta, option(DURATION, "Maximum time to wait")]
Yes = Annotated[bool, flag("Skip confirmation", "--yes", "-y")]
