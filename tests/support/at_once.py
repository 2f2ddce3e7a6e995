"""Several people do the same thing to one state at the same time."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from gpuctl.store.base import State


def state_ids_of_simultaneous_inits(people: int, opened: Callable[[], State]) -> set[str | None]:
    """The IDs that they get from `state init`, each with a connection of their own."""
    barrier = Barrier(people)

    def init() -> str | None:
        state = opened()
        barrier.wait()
        return state.admin.create().state_id

    with ThreadPoolExecutor(people) as pool:
        return {future.result() for future in [pool.submit(init) for _ in range(people)]}
