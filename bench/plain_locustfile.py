"""A load test as it is usually written: users that wait for their answer (a closed loop)."""

from __future__ import annotations

from locust import FastHttpUser, constant_throughput, task


class Plain(FastHttpUser):
    """Five requests a second, as long as each is answered in time."""

    wait_time = constant_throughput(5)

    @task
    def ask(self) -> None:
        """Ask the one route."""
        self.client.get("/")
