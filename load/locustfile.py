"""Locust with cutover's traffic profiles: `locust -f load/locustfile.py --host URL`.

The profile (`--traffic`) says which routes are asked, its shape how often and for how long. An open
loop has one user a process, which sends every request when it is due; `--processes N` shares the
rate among N. Locust's statistics count latency from when a request was due.
"""

from __future__ import annotations

import os
import random
import signal
import sys
import time
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any, Final

import gevent
from locust import LoadTestShape, User, events, task
from locust.env import Environment
from locust.runners import MasterRunner, WorkerRunner

from fixtures.errors import CutoverError
from load.generator.clients import Clients
from load.generator.pacer import Pacer
from load.request_log import Header, Writer
from load.shapes import Schedule, Shape
from load.traffic import Traffic, load_traffic, schedule, steady

# From the order to begin until the first request is due: every process has to have it by then.
_BEFORE_FIRST_SECONDS: Final = 1.0
_FLUSH_SECONDS: Final = 0.25
_SLACK_SECONDS: Final = 1.0


@events.init_command_line_parser.add_listener
def _add_options(parser: ArgumentParser) -> None:
    # Not in a group of its own: only the parser itself knows `include_in_web_ui`.
    add: Any = parser.add_argument
    add("--traffic", default="services", help="a profile: FILE.yml, or one of load/profiles/")
    add("--shape", default="", help="one of the profile's shapes; its first if none")
    add("--rate", type=float, default=0.0, help="steady, this often a second")
    add("--seconds", type=float, default=60.0, help="with --rate: for so long")
    add("--seed", type=int, default=0, help="draws the mix of routes")
    hidden = {"include_in_web_ui": False}
    add("--entry", action="append", help="beside --host: more entries", **hidden)
    add("--failover", action="store_true", help="try other entries", **hidden)
    add("--log-folder", default="", help="record every request there", **hidden)
    add("--parent", type=int, default=0, help="end with this process", **hidden)


def _asked_for(options: Namespace) -> tuple[Traffic, Shape]:
    """Return the traffic and its shape. Raises `CutoverError`."""
    traffic = load_traffic(options.traffic)
    if options.rate:
        return traffic, steady(options.rate, options.seconds)
    return traffic, traffic.shape(options.shape)


def _entries(environment: Environment) -> list[str]:
    """Return where to ask. Raises `CutoverError`."""
    options = _options(environment)
    entries = [environment.host] if environment.host else []
    entries += options.entry or []
    if not entries:
        raise CutoverError(
            "no host is given", where="--host", remedy="Give the URL at which clients reach it."
        )
    for url in entries:
        if not url.startswith(("http://", "https://")):
            raise CutoverError(f"{url!r} is no http or https URL", where="--host or --entry")
    return entries


def _options(environment: Environment) -> Namespace:
    options = environment.parsed_options
    assert isinstance(options, Namespace)
    return options


@events.init.add_listener
def _refuse_bad_input(environment: Environment, **_: Any) -> None:
    options = _options(environment)
    try:
        traffic, _shape = _asked_for(options)
        if options.headless:
            _entries(environment)
    except CutoverError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(2)
    if options.headless and not isinstance(environment.runner, WorkerRunner):
        # Locust's own handler is there only when the shape is over: until then SIGTERM would kill,
        # and what is under way would leave no record.
        gevent.signal_handler(signal.SIGTERM, _end_early, environment)
    environment.user_classes = [Arrivals if traffic.loop == "open" else Visitors]
    if isinstance(environment.runner, WorkerRunner) or options.parent:
        parent = os.getppid() if isinstance(environment.runner, WorkerRunner) else options.parent
        gevent.spawn(_end_with, parent, environment)


def _end_early(environment: Environment) -> None:
    """Have the shape end the run, in order, at its next look."""
    vars(environment)["told_to_end"] = True


def _end_with(parent: int, environment: Environment) -> None:
    """End when the process that we work for is gone."""
    while os.getppid() == parent:
        gevent.sleep(_FLUSH_SECONDS)
    assert environment.runner is not None
    environment.runner.quit()
    os._exit(3)


@events.test_start.add_listener
def _begin(environment: Environment, **_: Any) -> None:
    """Agree on when the first request is due and how many processes share them.

    On the master this is said before its workers are told to begin, and goes to them with that.
    """
    if isinstance(environment.runner, WorkerRunner):
        return
    vars(environment)["all_ended"] = False
    options: Any = _options(environment)
    options.begin_at = time.time() + _BEFORE_FIRST_SECONDS
    master = isinstance(environment.runner, MasterRunner)
    options.generators = environment.runner.worker_count if master else 1  # type: ignore[union-attr]


class ProfileShape(LoadTestShape):
    """Keeps the users there for as long as the profile's shape lasts."""

    def __init__(self) -> None:
        super().__init__()
        self._plan: tuple[Traffic, Schedule] | None = None

    def reset_time(self) -> None:
        """Begin anew, with the options as they are now (the web page may have changed them)."""
        super().reset_time()
        self._plan = None

    def tick(self) -> tuple[int, float] | None:
        """Return how many users there are to be now, or None at the end."""
        assert self.runner is not None
        environment = self.runner.environment
        if self._plan is None:
            traffic, shape = _asked_for(_options(environment))
            self._plan = traffic, schedule(shape)
        traffic, plan = self._plan
        passed = self.get_run_time()
        ending = _BEFORE_FIRST_SECONDS + traffic.timeout + _SLACK_SECONDS
        if passed > plan.seconds + (ending if traffic.loop == "open" else 0):
            return None
        if vars(environment).get("all_ended") or vars(environment).get("told_to_end"):
            return None
        if traffic.loop == "open":
            generators = getattr(self.runner, "worker_count", 1)
            return generators, generators
        levels = plan.levels()
        level = next((rate for _, end, rate in levels if passed < end), levels[-1][2])
        return max(1, round(level)), 100


class _ProfileUser(User):
    """What both loops have in common: one `Clients`, one log, one t0."""

    abstract = True
    keeps_log = True

    def on_start(self) -> None:
        """Prepare what asks and what records."""
        options = _options(self.environment)
        self.traffic, shape = _asked_for(options)
        self.plan = schedule(shape)
        self.t0 = time.monotonic() + options.begin_at - time.time()
        runner: Any = self.environment.runner
        self.number = runner.worker_index if isinstance(runner, WorkerRunner) else 0
        entries = _entries(self.environment)
        self._writer: Writer | None = None
        self._flusher: Any = None
        if options.log_folder and self.keeps_log:
            header = Header(
                self.t0,
                self.traffic.loop,
                [route.name for route in self.traffic.routes],
                entries,
            )
            self._writer = Writer(
                Path(options.log_folder) / f"requests-{self.number}.msgpack", header
            )
            self._flusher = gevent.spawn(self._flush)
        self.clients = Clients(
            self.traffic, entries, self._tell, self._writer, failover=options.failover
        )

    def on_stop(self) -> None:
        """Write out the rest."""
        self.clients.close()
        if self._writer is not None:
            self._flusher.kill()
            self._writer.flush(time.process_time())
            self._writer.close("its schedule is over, or it was told to end")

    def _flush(self) -> None:
        while True:
            assert self._writer is not None
            self._writer.flush(time.process_time())
            gevent.sleep(_FLUSH_SECONDS)

    def _tell(self, method: str, route: str, latency: float, size: int, result: str) -> None:
        self.environment.events.request.fire(
            request_type=method,
            name=route,
            response_time=1000 * latency,
            response_length=size,
            exception=None if result == "ok" else RuntimeError(result),
            context={},
        )


class Arrivals(_ProfileUser):
    """The open loop: one user a process sends its share of all requests."""

    @task
    def send_all(self) -> None:
        """Send each when it is due; then stay until the run is over."""
        options = _options(self.environment)
        pacer = Pacer(
            self.clients,
            self.plan.due(self.number, options.generators).tolist(),
            self.traffic.mix(self.plan.count, options.seed),
            t0=self.t0,
            first=self.number,
            every=options.generators,
            most_under_way=self.traffic.most_under_way,
        )
        try:
            pacer.run()
        finally:
            pacer.finish(self.traffic.timeout + _SLACK_SECONDS)
        # For the shape of a run in one process; that of several waits for the longest timeout.
        vars(self.environment)["all_ended"] = True
        gevent.sleep(self.traffic.timeout + 3600)


class Visitors(_ProfileUser):
    """The closed loop: each user waits for its answer and thinks before it asks again."""

    keeps_log = False

    def wait_time(self) -> float:
        """Return how long it thinks, in seconds."""
        return self._chance.uniform(self.traffic.think.least, self.traffic.think.most)

    def on_start(self) -> None:
        """Draw from the seed."""
        super().on_start()
        self._chance = random.Random(_options(self.environment).seed)  # noqa: S311
        self._asked = 0

    @task
    def visit(self) -> None:
        """Ask one route."""
        (route,) = self._chance.choices(
            range(len(self.traffic.routes)), [route.weight for route in self.traffic.routes]
        )
        self.clients.ask(self._asked, route, time.monotonic())
        self._asked += 1
