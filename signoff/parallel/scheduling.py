"""pytest-xdist's scheduler for feature files: what `order` decides, said to the workers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NoReturn

from xdist.workermanage import WorkerController

from signoff.parallel.order import Queue, Unit


class FeatureScheduling:
    """The protocol of `xdist.scheduler.protocol.Scheduling` around one `Queue`.

    `arrange` makes the units of the collected node ids.
    """

    def __init__(self, workers: int, arrange: Callable[[Sequence[str]], list[Unit]]) -> None:
        self._workers = workers
        self._arrange = arrange
        self._queue = Queue([])
        self._collected: list[str] | None = None
        self._nodes: dict[str, WorkerController] = {}
        self._ready: set[str] = set()

    @property
    def nodes(self) -> list[WorkerController]:
        """The workers that take part."""
        return list(self._nodes.values())

    @property
    def collection_is_completed(self) -> bool:
        """Whether every worker has collected."""
        return len(self._ready) >= self._workers

    @property
    def tests_finished(self) -> bool:
        """Whether nothing is left to be given out."""
        return self._collected is not None and self._queue.is_over

    @property
    def has_pending(self) -> bool:
        """Whether any scenario is not over."""
        return self._queue.has_pending

    def add_node(self, node: WorkerController) -> None:
        """Let a worker take part."""
        self._nodes[node.gateway.id] = node

    def add_node_collection(self, node: WorkerController, collection: Sequence[str]) -> None:
        """Take note of what a worker has collected: it must be the same everywhere."""
        if self._collected is not None and list(collection) != self._collected:
            raise RuntimeError(
                f"{node.gateway.id} collected other scenarios than the workers before"
            )
        if self._collected is None:
            self._collected = list(collection)
            self._queue.left = self._arrange(collection)
        self._queue.join(node.gateway.id)
        self._ready.add(node.gateway.id)

    def schedule(self) -> None:
        """Give every worker what it may have now."""
        assert self._collected is not None
        while given := self._queue.give(
            {n for n in self._nodes if not self._nodes[n].shutting_down}
        ):
            worker, unit = given
            indices = [self._collected.index(item) for item in unit.items]
            self._nodes[worker].send_runtest_some(indices)
        if not self._queue.left:
            for name, node in self._nodes.items():
                if name in self._queue.given and not node.shutting_down:
                    node.shutdown()  # after what it has

    def mark_test_complete(
        self, node: WorkerController, item_index: int, duration: float = 0
    ) -> None:
        """Take note that a scenario is over."""
        assert self._collected is not None
        self._queue.over(node.gateway.id, self._collected[item_index])
        self.schedule()

    def remove_node(self, node: WorkerController) -> str | None:
        """Forget a worker that ended; returns the scenario that it was at."""
        del self._nodes[node.gateway.id]
        if node.gateway.id not in self._queue.given:
            return None
        lost = self._queue.lose(node.gateway.id)
        if self.collection_is_completed:
            self.schedule()
        return lost

    def mark_test_pending(self, item: str) -> NoReturn:
        """Scenarios are not repeated."""
        raise NotImplementedError

    def remove_pending_tests_from_node(
        self, node: WorkerController, indices: Sequence[int]
    ) -> NoReturn:
        """Nothing is taken away from a worker that runs."""
        raise NotImplementedError
