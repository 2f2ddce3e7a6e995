"""What the cooldown of every store must do; each implementation runs all of it."""

from abc import ABC, abstractmethod
from datetime import timedelta
from pathlib import Path

import pytest
from support.instances import NOON

from gpuctl.store.cooldown import COOLDOWN, Cooldown

SECOND = timedelta(seconds=1)


class CooldownContract(ABC):
    """Subclass it, say how a process opens the cooldown of a state at a place, and every test runs against that."""

    @abstractmethod
    def open(self, folder: Path) -> Cooldown: ...

    @pytest.fixture
    def cooldown(self, tmp_path: Path) -> Cooldown:
        return self.open(tmp_path)

    def test_nothing_is_in_cooldown_at_first(self, cooldown: Cooldown) -> None:
        assert cooldown.active(NOON) == {}

    def test_every_process_of_the_state_sees_the_placements_of_all(self, cooldown: Cooldown, tmp_path: Path) -> None:
        cooldown.start("us-east-1a g4dn.xlarge", NOON)
        self.open(tmp_path).start("us-east-1b g4dn.xlarge", NOON + SECOND)
        expected = {"us-east-1a g4dn.xlarge": NOON, "us-east-1b g4dn.xlarge": NOON + SECOND}
        assert cooldown.active(NOON + SECOND) == expected

    def test_a_cooldown_ends_after_three_minutes(self, cooldown: Cooldown) -> None:
        cooldown.start("a", NOON)
        assert cooldown.active(NOON + COOLDOWN - SECOND) == {"a": NOON}
        assert cooldown.active(NOON + COOLDOWN) == {}

    def test_a_placement_that_fails_again_begins_again(self, cooldown: Cooldown) -> None:
        cooldown.start("a", NOON)
        cooldown.start("a", NOON + COOLDOWN - SECOND)
        assert cooldown.active(NOON + COOLDOWN) == {"a": NOON + COOLDOWN - SECOND}

    def test_an_instant_in_the_future_is_not_believed(self, cooldown: Cooldown) -> None:
        cooldown.start("a", NOON + SECOND)
        assert cooldown.active(NOON) == {}
