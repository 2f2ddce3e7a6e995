"""A book of prices is replaced whole or not at all, whatever dies in between."""

import os
import signal
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path

import pytest
from store.local.test_crashes import forked
from support.disks import FailingDisk

from gpuctl.domain.instance import Market, Price, ProviderName
from gpuctl.domain.money.prices import PriceBook, PriceKey, RejectedPrice
from gpuctl.errors import StateUnusableError
from gpuctl.files import Disk
from gpuctl.home.prices import LocalPrices

AWS = ProviderName.AWS
NOON = datetime(2026, 11, 24, 12, tzinfo=UTC)


def a_book(usd: str = "0.526", types: int = 3) -> PriceBook:
    price = Price(usd_per_hour=Decimal(usd), as_of=date(2026, 11, 24), source="a test", is_fetched=True)
    older = price.model_copy(update={"as_of": date(2026, 1, 1), "source": "another"})
    keys = [PriceKey(f"g{number}.xlarge", "us-east-1", Market.ON_DEMAND) for number in range(types)]
    refusal = RejectedPrice(keys[0]._replace(market=Market.SPOT), Decimal(0), "not above zero")
    prices = {**dict.fromkeys(keys, price), keys[0]._replace(region="eu-west-1"): older}
    return PriceBook(AWS, NOON, prices, (refusal,))


class DyingDisk(FailingDisk):
    """A disk under a process that is killed at its n-th operation."""

    def _use(self) -> None:
        if self.left <= 0:
            os.kill(os.getpid(), signal.SIGKILL)
        self.left -= 1


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    prices = LocalPrices(tmp_path / "new" / "prices")
    assert prices.read(AWS) is None
    prices.write(a_book())
    assert prices.read(AWS) == a_book()
    assert prices.read(ProviderName.AZURE) is None
    assert prices.path(AWS).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("good_for", range(5))
def test_a_kill_at_any_step_leaves_the_old_book_or_the_new_one(tmp_path: Path, good_for: int) -> None:
    LocalPrices(tmp_path).write(a_book("1"))
    pid = forked(lambda: LocalPrices(tmp_path, DyingDisk(good_for)).write(a_book("2", types=300)))
    killed = os.WIFSIGNALED(os.waitpid(pid, 0)[1])
    actual = LocalPrices(tmp_path).read(AWS)
    assert actual == (a_book("1") if killed else a_book("2", types=300))
    assert killed == (good_for < 4)


@pytest.mark.parametrize("good_for", range(4))
def test_a_disk_that_fails_leaves_the_old_book_and_no_rubbish(tmp_path: Path, good_for: int) -> None:
    LocalPrices(tmp_path).write(a_book("1"))
    with pytest.raises(StateUnusableError, match="cannot be written"):
        LocalPrices(tmp_path, FailingDisk(good_for)).write(a_book("2"))
    assert LocalPrices(tmp_path).read(AWS) == a_book("1")
    assert os.listdir(tmp_path) == ["aws.json"]


def test_what_a_kill_left_is_removed_by_a_later_write_and_not_at_once(tmp_path: Path) -> None:
    young, old = tmp_path / ".aws.json.1.aa.tmp", tmp_path / ".aws.json.2.bb.tmp"
    for path, age_s in ((young, 60), (old, 7200)):
        path.touch()
        os.utime(path, times=(NOON.timestamp() - age_s,) * 2)
    LocalPrices(tmp_path).write(a_book())
    assert (young.exists(), old.exists()) == (True, False)


def test_a_reader_never_sees_half_a_book(tmp_path: Path) -> None:
    """Somebody reads at the worst moment: when the new one is written and not yet in its place."""
    calls = []

    class WatchedDisk(Disk):
        def replace(self, source: Path, target: Path) -> None:
            calls.append(LocalPrices(tmp_path).read(AWS))
            super().replace(source, target)
            calls.append(LocalPrices(tmp_path).read(AWS))

    LocalPrices(tmp_path).write(a_book("1"))
    LocalPrices(tmp_path, WatchedDisk()).write(a_book("2"))
    assert calls == [a_book("1"), a_book("2")]


@pytest.mark.parametrize(
    ("true", "wrong"),
    [
        ('"format": 1', '"format": 2'),
        ('"aws"', '"azure"'),
        ("0.526", "0"),
        ("0.526", "-1"),
        ("0.526", "NaN"),
        ("0.526", "free"),
        ("on-demand", "rented"),
        ("+00:00", ""),
        ("2026-11-24", "yesterday"),
        ('"prices"', '"costs"'),
        ("}}\n", ""),
    ],
)
def test_a_book_that_cannot_be_true_is_an_error_and_not_a_price(tmp_path: Path, true: str, wrong: str) -> None:
    prices = LocalPrices(tmp_path)
    prices.write(a_book())
    text = prices.path(AWS).read_text()
    assert true in text
    prices.path(AWS).write_text(text.replace(true, wrong))
    with pytest.raises(StateUnusableError, match="cannot be used"):
        prices.read(AWS)
