"""Reading the clouds' prices: all that was asked for, through the gate, or nothing; what every command makes of it."""

import json
import signal
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
from support.cli import Operator
from support.pricelists import (
    BROKEN,
    EMPTY,
    HUNG_UP,
    OFFERINGS,
    PRODUCTS,
    RETAIL,
    SPOT,
    PriceApis,
    Reply,
    busy,
    meter,
    missing,
    not_listed,
    product,
    refused,
    spot,
)

T4, A10G = "g4dn.xlarge", "g5.xlarge"
AZURE_T4 = "Standard_NC4as_T4_v3"


@pytest.fixture(scope="module")
def served_apis() -> Iterator[PriceApis]:
    served = PriceApis()
    yield served
    served.stop()


@pytest.fixture
def apis(served_apis: PriceApis) -> PriceApis:
    served_apis.reset()
    served_apis.offerings = {"us-east-1": [T4, A10G, "g6.xlarge", "m5.large"]}
    served_apis.products = [product(T4, "0.5300000000"), product(A10G, "1.006"), product("m5.large", "0.096")]
    served_apis.spots = [spot(T4, "0.21")]
    served_apis.meters = [meter(AZURE_T4, 0.527), meter(AZURE_T4, 0.12, meterName="NC4as T4 v3 Spot")]
    return served_apis


@pytest.fixture
def buyer(tmp_path: Path, apis: PriceApis, monkeypatch: pytest.MonkeyPatch) -> Operator:
    """Somebody whose price APIs are on loopback, and who needs no instance."""
    monkeypatch.setenv("AWS_ENDPOINT_URL_PRICING", apis.url)
    monkeypatch.setenv("AWS_ENDPOINT_URL_EC2", apis.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "a-secret-canary")
    buyer = Operator.without_clouds(tmp_path)
    buyer.environ["GPUCTL_AZURE_PRICES_ENDPOINT"] = apis.url
    return buyer


def aws(buyer: Operator, *argv: str) -> dict[str, Any]:
    """Read us-east-1 and return what it brought."""
    ran = buyer.json("prices", "refresh", "--provider", "aws", "--region", "us-east-1", *argv)
    assert ran.code == 0, ran
    brought: dict[str, Any] = ran.json["refreshed"][0]
    return brought


def azure(buyer: Operator, *argv: str) -> dict[str, Any]:
    ran = buyer.json("prices", "refresh", "--provider", "azure", "--region", "eastus", *argv)
    assert ran.code == 0, ran
    brought: dict[str, Any] = ran.json["refreshed"][0]
    return brought


def price(buyer: Operator, name: str, region: str, *argv: str) -> dict[str, Any] | None:
    """What `types` says of that type there."""
    shapes = buyer.json("types", "--region", region, *argv).json["types"]
    return next((shape for shape in shapes if shape["instanceType"] == name), None)


def book(buyer: Operator, provider: str = "aws") -> Path:
    return buyer.folder / "prices" / f"{provider}.json"


# what is read


def test_prices_are_read_page_by_page_and_every_command_uses_them(buyer: Operator, apis: PriceApis) -> None:
    assert (aws(buyer)["prices"], aws(buyer)["rejected"]) == (3, [])
    assert [len(apis.calls(action)) for action in (OFFERINGS, SPOT, PRODUCTS)] == [4, 2, 4]
    price_shown = price(buyer, T4, "us-east-1")
    assert price_shown is not None
    assert (price_shown["costPerHour"], price_shown["priceSource"], price_shown["priceAsOf"]) == (
        0.53,
        "AWS Price List API",
        "2026-11-24",
    )
    cheap = price(buyer, T4, "us-east-1", "--spot")
    assert cheap is not None
    assert (cheap["market"], cheap["costPerHour"], cheap["priceSource"]) == ("spot", 0.21, "EC2 spot price history")


def test_azures_pages_are_followed_to_the_end_without_a_login(buyer: Operator, apis: PriceApis) -> None:
    apis.meters += [meter(f"Standard_NC{size}as_T4_v3", 1.2 + size) for size in (8, 16, 64)]
    apis.meters += [meter("Standard_D2s_v5", 0.096), meter(AZURE_T4, 9.0, region="westus")]
    assert azure(buyer)["prices"] == 5 - len(azure(buyer)["rejected"])
    assert len(apis.calls(RETAIL)) == 2 * 3
    price_shown = price(buyer, AZURE_T4, "eastus")
    assert price_shown is not None
    assert (price_shown["costPerHour"], price_shown["priceSource"]) == (0.527, "Azure Retail Prices API")


def test_a_price_says_its_source_and_age_to_a_person(buyer: Operator, monkeypatch: pytest.MonkeyPatch) -> None:
    aws(buyer)
    buyer.later(days=3)
    monkeypatch.setenv("COLUMNS", "130")
    shown = buyer.run("types", "--gpu", "T4", "--region", "us-east-1", terminal=True)
    (line,) = [line for line in shown.out.splitlines() if f"{T4} " in line]
    assert "3d" in line and "AWS Price List API" in line
    assert shown.err.count("older than 30 days") == 1


OTHER_PRODUCTS: list[dict[str, str]] = [
    {"operatingSystem": "Windows"},
    {"operatingSystem": "RHEL"},
    {"tenancy": "Dedicated"},
    {"tenancy": "Host"},
    {"preInstalledSw": "SQL Std"},
    {"capacitystatus": "UnusedCapacityReservation"},
    {"capacitystatus": "AllocatedCapacityReservation"},
    {"licenseModel": "Bring your own license"},
    {"marketoption": "CapacityBlock"},
    {"operation": "RunInstances:0800"},
]
OTHER_METERS: list[dict[str, Any]] = [
    {"productName": "Virtual Machines NCasT4 v3 Series Windows"},
    {"productName": "Virtual Machines NCCadsv5 Srs Win"},
    {"productName": "NCasT4 v3 Series Dedicated Host"},
    {"productName": "NC Series Cloud Services"},
    {"meterName": "NC4as T4 v3 Low Priority"},
    {"type": "DevTestConsumption"},
    {"type": "Reservation", "reservationTerm": "1 Year"},
    {"unitOfMeasure": "1/Month"},
    {"currencyCode": "EUR"},
    {"isPrimaryMeterRegion": False},
    {"serviceName": "Azure Batch"},
    {"tierMinimumUnits": 100.0},
]


def test_only_a_plain_linux_instance_on_demand_has_the_on_demand_price(buyer: Operator, apis: PriceApis) -> None:
    others = [product(T4, f"0.6{number}", **other) for number, other in enumerate(OTHER_PRODUCTS)]
    apis.products = [*others, product(T4, "0.53"), *others]
    assert aws(buyer)["prices"] == 2
    price_shown = price(buyer, T4, "us-east-1")
    assert price_shown is not None and price_shown["costPerHour"] == 0.53


def test_only_a_linux_instance_by_the_hour_has_azures_price(buyer: Operator, apis: PriceApis) -> None:
    others = [meter(AZURE_T4, 0.6 + number / 100, **other) for number, other in enumerate(OTHER_METERS)]
    apis.meters = [*others, meter(AZURE_T4, 0.527), *others]
    assert azure(buyer)["prices"] == 1
    price_shown = price(buyer, AZURE_T4, "eastus")
    assert price_shown is not None and price_shown["costPerHour"] == 0.527


def test_a_type_that_the_region_does_not_offer_gets_no_new_price(buyer: Operator, apis: PriceApis) -> None:
    apis.products.append(product("p3.2xlarge", "3.06"))
    apis.offerings["us-east-1"].remove(A10G)
    assert aws(buyer)["prices"] == 2
    old = price(buyer, "p3.2xlarge", "us-east-1", "--all")
    assert old is not None and old["priceAsOf"] != "2026-11-24"


def test_spot_is_the_newest_price_of_the_most_expensive_zone_and_no_local_zones(
    buyer: Operator, apis: PriceApis
) -> None:
    apis.spots = [
        spot(T4, "0.30", "us-east-1a", "2026-11-24T09:00:00.000Z"),
        spot(T4, "0.20", "us-east-1a", "2026-11-24T10:00:00.000Z"),
        spot(T4, "0.25", "us-east-1b", "2026-11-24T08:00:00.000Z"),
        spot(T4, "0.45", "us-east-1-bos-1a"),
    ]
    aws(buyer)
    price_shown = price(buyer, T4, "us-east-1", "--spot")
    assert price_shown is not None and price_shown["costPerHour"] == 0.25


def test_a_region_that_is_newer_than_the_catalog_counts_once_it_was_read(buyer: Operator, apis: PriceApis) -> None:
    apis.meters.append(meter(AZURE_T4, 0.6, region="atlantis"))
    assert buyer.run("types", "--provider", "azure", "--region", "atlantis").code == 2
    assert buyer.run("prices", "refresh", "--provider", "azure", "--region", "atlantis").code == 0
    price_shown = price(buyer, AZURE_T4, "atlantis", "--provider", "azure")
    assert price_shown is not None and price_shown["costPerHour"] == 0.6


@pytest.mark.parametrize("cloud", ["aws", "azure"])
def test_an_unknown_region_is_an_error_with_the_closest_names(buyer: Operator, cloud: str) -> None:
    region = {"aws": "us-esat-1", "azure": "eatsus"}[cloud]
    ran = buyer.run("prices", "refresh", "--provider", cloud, "--region", region)
    assert (ran.code, "did you mean" in ran.err, book(buyer, cloud).exists()) == (2, True, False)


@pytest.mark.parametrize(
    "trouble",
    [
        refused("OptInRequired", 401),
        refused("UnrecognizedClientException", 400),
        refused("UnauthorizedOperation", 403, "no, with an explicit deny in a service control policy"),
    ],
)
def test_a_region_that_the_account_may_not_use_is_left_out(buyer: Operator, apis: PriceApis, trouble: Any) -> None:
    apis.offerings["af-south-1"] = [T4]
    apis.arm(OFFERINGS, trouble)
    ran = buyer.json("prices", "refresh", "--provider", "aws")
    brought = ran.json["refreshed"][0]
    assert (ran.code, brought["skippedRegions"], brought["prices"]) == (0, ["af-south-1"], 3)
    apis.arm(OFFERINGS, refused("AuthFailure", 401))
    assert buyer.run("prices", "refresh", "--provider", "aws", "--region", "us-east-1").code == 4


def test_credentials_that_the_price_list_does_not_know_change_no_price(buyer: Operator, apis: PriceApis) -> None:
    # AWS's price list is in the commercial partition only: credentials of GovCloud, which EC2 knows, are foreign there.
    apis.offerings["us-gov-west-1"] = [T4]
    apis.arm(PRODUCTS, not_listed("UnrecognizedClientException"))
    ran = buyer.json("prices", "refresh", "--provider", "aws", "--region", "us-gov-west-1")
    assert (ran.code, ran.json["error"]["code"]) == (4, "credentials")
    assert "us-gov-west-1" in ran.json["error"]["message"]
    assert buyer.json("prices").json["prices"][0]["fetchedPrices"] == 0


# what goes wrong

WRONG: Sequence[tuple[str, str, Sequence[Reply | None], int]] = [
    ("aws", PRODUCTS, [BROKEN] * 5, 5),
    ("aws", PRODUCTS, [EMPTY] * 5, 5),
    ("aws", PRODUCTS, [None, *[HUNG_UP] * 5], 5),
    ("aws", PRODUCTS, [None, *[busy()] * 5], 5),
    ("aws", PRODUCTS, [None, not_listed("AccessDeniedException")], 4),
    ("aws", OFFERINGS, [None, *[BROKEN] * 5], 5),
    ("aws", OFFERINGS, [refused("UnauthorizedOperation")], 4),
    ("aws", SPOT, [BROKEN] * 5, 5),
    ("aws", SPOT, [refused("RequestLimitExceeded", 503)] * 5, 5),
    ("azure", RETAIL, [BROKEN] * 5, 5),
    ("azure", RETAIL, [EMPTY] * 5, 5),
    ("azure", RETAIL, [None, *[BROKEN] * 5], 5),
    ("azure", RETAIL, [None, *[HUNG_UP] * 5], 5),
    ("azure", RETAIL, [None, *[busy()] * 5], 5),
    ("azure", RETAIL, [busy("3600")], 5),
    ("azure", RETAIL, [None, missing()], 1),
    ("azure", RETAIL, [Reply(302, headers={"Location": "http://127.0.0.1:9/"})], 1),
    ("azure", RETAIL, [Reply(body=b'{"Items": [], "Count": 7, "NextPageLink": null}')] * 5, 5),
    ("azure", RETAIL, [Reply(body=b'{"Items": [{"retailPrice": "free"}], "NextPageLink": null}')] * 5, 5),
    ("azure", RETAIL, [Reply(body=b'{"Items": [], "NextPageLink": "https://x/?again=1"}')] * 9, 5),
]


@pytest.mark.parametrize(("cloud", "action", "replies", "code"), WRONG)
def test_what_could_not_be_read_whole_changes_nothing(
    buyer: Operator, apis: PriceApis, cloud: str, action: str, replies: Sequence[Reply | None], code: int
) -> None:
    apis.meters.append(meter("Standard_NC16as_T4_v3", 1.2))
    aws(buyer)
    azure(buyer)
    before = book(buyer, cloud).read_bytes()
    buyer.later(days=9)
    apis.products[0] = product(T4, "0.6")
    apis.meters[0] = meter(AZURE_T4, 0.6)
    apis.arm(action, *replies)
    region = {"aws": "us-east-1", "azure": "eastus"}[cloud]
    ran = buyer.json("prices", "refresh", "--provider", cloud, "--region", region)
    assert (ran.code, ran.json["success"]) == (code, False)
    assert book(buyer, cloud).read_bytes() == before
    shown = buyer.json("prices", "--provider", cloud).json["prices"][0]
    assert shown["fetchedAt"] == "2026-11-24T12:00:00Z"


@pytest.mark.parametrize(
    ("cloud", "action", "first"),
    [
        ("aws", PRODUCTS, busy("7")),
        ("aws", SPOT, refused("RequestLimitExceeded", 503, **{"Retry-After": "7"})),
        ("azure", RETAIL, busy("7")),
    ],
)
def test_temporary_errors_are_retried(buyer: Operator, apis: PriceApis, cloud: str, action: str, first: Reply) -> None:
    apis.arm(action, first, BROKEN, HUNG_UP, Reply(503))
    started = buyer.clock.now()
    assert (aws if cloud == "aws" else azure)(buyer)["prices"]
    assert (buyer.clock.now() - started).total_seconds() == 7 + 2 + 4 + 8


def test_a_cloud_that_keeps_us_waiting_is_left_before_long(buyer: Operator, apis: PriceApis) -> None:
    apis.arm(RETAIL, busy("3600"))
    started = buyer.clock.now()
    ran = buyer.run("prices", "refresh", "--provider", "azure")
    assert (ran.code, buyer.clock.now()) == (5, started)
    assert "hint: retry in 60m" in ran.err


def test_one_cloud_that_fails_does_not_keep_the_other(buyer: Operator, apis: PriceApis) -> None:
    apis.arm(OFFERINGS, refused("UnauthorizedOperation"))
    ran = buyer.json("prices", "refresh")
    assert (ran.code, ran.json["error"]["code"]) == (8, "partial")
    assert [error["scope"]["provider"] for error in ran.json["errors"]] == ["AWS", "GCP"]
    assert [item["provider"] for item in ran.json["refreshed"]] == ["AZURE"]
    assert (book(buyer).exists(), book(buyer, "azure").exists()) == (False, True)


def test_ctrl_c_keeps_what_was(buyer: Operator, apis: PriceApis, monkeypatch: pytest.MonkeyPatch) -> None:
    azure(buyer)
    before = book(buyer, "azure").read_bytes()
    apis.arm(RETAIL, busy("5"))

    def stop(_: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(buyer.clock, "sleep", stop)
    ran = buyer.run("prices", "refresh", "--provider", "azure")
    assert (ran.code, ran.err.splitlines()[-1]) == (130, "error: interrupted; the prices of `azure` are unchanged")
    assert book(buyer, "azure").read_bytes() == before


@pytest.mark.parametrize(
    "variable", ["AWS_ENDPOINT_URL_PRICING", "AWS_ENDPOINT_URL_EC2", "GPUCTL_AZURE_PRICES_ENDPOINT"]
)
@pytest.mark.parametrize("address", ["http://prices.example.com", "http://10.0.0.1:80"])
def test_plain_http_is_for_loopback_only(
    buyer: Operator, apis: PriceApis, monkeypatch: pytest.MonkeyPatch, variable: str, address: str
) -> None:
    monkeypatch.setenv(variable, address)
    buyer.environ[variable] = address
    cloud, region = ("azure", "eastus") if "AZURE" in variable else ("aws", "us-east-1")
    ran = buyer.run("prices", "refresh", "--provider", cloud, "--region", region)
    assert (ran.code, variable in ran.err) == (2, True)
    assert not apis.calls(PRODUCTS) and not apis.calls(RETAIL)


# what is not believed

NOT_BELIEVED = [
    ("0.0000000000", "not above zero"),
    ("-0.5260000000", "not above zero"),
    ("2.6500000000", "5 times away"),
    ("0.1060000000", "5 times away"),
]


@pytest.mark.parametrize(("usd", "why"), NOT_BELIEVED)
def test_an_implausible_price_is_rejected_and_the_previous_price_is_kept(
    buyer: Operator, apis: PriceApis, usd: str, why: str
) -> None:
    apis.spots = []
    aws(buyer)
    buyer.later(days=2)
    apis.products[:2] = [product(T4, usd), product(A10G, "1.1")]
    brought = aws(buyer)
    assert [(item["instanceType"], why in item["reason"]) for item in brought["rejected"]] == [(T4, True)]
    previous, moved = price(buyer, T4, "us-east-1"), price(buyer, A10G, "us-east-1")
    assert previous is not None and (previous["costPerHour"], previous["priceAsOf"]) == (0.53, "2026-11-24")
    assert moved is not None and (moved["costPerHour"], moved["priceAsOf"]) == (1.1, "2026-11-26")
    assert f"rejected by the last refresh: {T4} in us-east-1, on-demand" in buyer.run("prices").err


def test_an_on_demand_price_below_spot_is_refused(buyer: Operator, apis: PriceApis) -> None:
    aws(buyer)
    apis.products[0], apis.spots = product(T4, "0.2"), [spot(T4, "0.25")]
    (single,) = aws(buyer)["rejected"]
    assert (single["market"], single["reason"]) == ("on-demand", "below the spot price of $0.25")
    price_shown = price(buyer, T4, "us-east-1", "--spot")
    assert price_shown is not None and price_shown["costPerHour"] == 0.25


def test_an_implausible_price_is_taken_with_accept(buyer: Operator, apis: PriceApis) -> None:
    aws(buyer)
    apis.spots = []
    apis.products[0] = product(T4, "2.7")
    assert aws(buyer)["rejected"] != []
    assert (aws(buyer, "--accept", T4)["rejected"], aws(buyer)["rejected"]) == ([], [])
    apis.products[0] = product(T4, "0")
    assert aws(buyer, "--accept", T4)["rejected"] != []


def test_a_price_that_is_no_longer_listed_keeps_its_date(buyer: Operator, apis: PriceApis) -> None:
    aws(buyer)
    buyer.later(days=40)
    del apis.products[1]
    assert aws(buyer)["unlisted"] == 1
    price_shown = price(buyer, A10G, "us-east-1")
    assert price_shown is not None and price_shown["priceAsOf"] == "2026-11-24"


def test_one_region_leaves_the_others_with_their_dates(buyer: Operator, apis: PriceApis) -> None:
    apis.meters.append(meter(AZURE_T4, 0.6, region="westus2"))
    azure(buyer)
    buyer.later(days=5)
    assert buyer.run("prices", "refresh", "--provider", "azure", "--region", "westus2").code == 0
    dates = [(price(buyer, AZURE_T4, text) or {})["priceAsOf"] for text in ("eastus", "westus2")]
    assert dates == ["2026-11-24", "2026-11-29"]


# how it is told


def test_damaged_prices_are_reported_once_and_fetched_again(buyer: Operator) -> None:
    aws(buyer)
    for damage in (b"", b"{}", b'{"format": 2}', book(buyer).read_bytes()[:-40], b"\xff"):
        book(buyer).write_bytes(damage)
        ran = buyer.run("types", "--region", "us-east-1")
        assert (ran.code, ran.err.count("warning: ")) == (0, 1)
    assert aws(buyer)["prices"] == 3
    assert "warning" not in buyer.run("types", "--region", "us-east-1").err


def test_no_request_is_sent_without_ssh_from_auto(buyer: Operator, apis: PriceApis) -> None:
    for argv in (["prices"], ["prices", "show", "--region", "us-east-1"], ["types"], ["types", "--spot"]):
        assert buyer.run(*argv).code == 0
    assert apis.sent == []


def test_the_sandbox_says_that_it_has_the_prices_that_ship(buyer: Operator, apis: PriceApis) -> None:
    aws(buyer)
    ran = buyer.run("--sandbox", "prices", "refresh", "--provider", "aws")
    assert (ran.code, "the sandbox uses the bundled prices" in ran.err) == (0, True)
    shown = buyer.json("--sandbox", "prices", "--provider", "aws").json["prices"][0]
    assert (shown["fetchedPrices"], shown["file"]) == (0, None)
    assert len(apis.calls(PRODUCTS)) == 2


def test_a_terminal_sees_a_bar_and_a_pipe_one_line(buyer: Operator) -> None:
    piped = buyer.run("prices", "refresh", "--provider", "azure")
    assert piped.err.splitlines() == ["fetching prices of `azure` in 52 regions"]
    assert piped.out.split("\t")[:4] == ["AZURE", "52", "2", "1"]
    shown = buyer.run("prices", "refresh", "--provider", "azure", terminal=True)
    assert "52/52" in shown.err or "51/52" in shown.err
    quiet = buyer.run("prices", "refresh", "--provider", "azure", "-q")
    assert (quiet.out, quiet.err) == ("azure\n", "")


@pytest.mark.parametrize(
    "argv",
    [
        ["prices", "wat"],
        ["prices", "--accept", T4],
        ["prices", "refresh", "--accept", "g4dn.xlrge"],
        ["prices", "refresh", "--provider", "x"],
        ["prices", "--region", "x"],
        ["prices", "refresh", "--region", "x"],
        ["prices", "refresh", "--provider", "azure", "--region", "x' or 1 eq 1"],
    ],
)
def test_invalid_values_send_nothing(buyer: Operator, apis: PriceApis, argv: list[str]) -> None:
    ran = buyer.json(*argv)
    assert (ran.code, ran.json["error"]["code"]) == (2, "usage")
    assert apis.sent == []


def test_no_secret_of_the_credentials_is_saved_or_shown(buyer: Operator, apis: PriceApis) -> None:
    apis.arm(PRODUCTS, not_listed("AccessDeniedException"))
    reported = buyer.run("prices", "refresh", "--provider", "aws", "--region", "us-east-1", "-v")
    aws(buyer)
    assert "a-secret-canary" not in reported.out + reported.err + book(buyer).read_text()
    assert book(buyer).stat().st_mode & 0o077 == 0
    json.loads(book(buyer).read_text())


def test_a_price_of_azure_counts_from_its_first_day_to_its_last(buyer: Operator, apis: PriceApis) -> None:
    past, future = "2024-01-01T00:00:00Z", "2031-01-01T00:00:00Z"
    apis.meters = [
        meter(AZURE_T4, 0.526, effectiveStartDate=past),
        meter(AZURE_T4, 0.69, effectiveStartDate=future),
        meter(AZURE_T4, 0.75, effectiveStartDate="2020-01-01T00:00:00Z", effectiveEndDate=past),
    ]
    assert azure(buyer)["prices"] == 1
    assert price(buyer, AZURE_T4, "eastus", "--provider", "azure")["costPerHour"] == 0.526


def test_a_price_of_azure_that_only_begins_later_is_no_price_yet(buyer: Operator, apis: PriceApis) -> None:
    apis.meters = [meter(AZURE_T4, 0.69, effectiveStartDate="2031-01-01T00:00:00Z")]
    buyer.run("prices", "refresh", "--provider", "azure", "--region", "eastus")
    assert price(buyer, AZURE_T4, "eastus", "--provider", "azure")["costPerHour"] != 0.69
