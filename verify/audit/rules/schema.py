"""Keys and kinds that `docker stack deploy` refuses: a misspelt key is not merely ignored there.

Which keys there are is docker/cli's (types.ServiceConfig and its schema 3.13); every refusal in the
tests was seen with `docker stack config` 28.2.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from typing import Final

from verify.audit.located import Located
from verify.audit.rule import Audit, Criterion, Found, Level, at, service_rule
from verify.audit.stack import Service

_UPDATE: Final = "parallelism delay failure_action monitor max_failure_ratio order"
#: Path below a service → its keys.
_KEYS: Final = {
    "": "build cap_add cap_drop cgroupns_mode cgroup_parent command configs container_name"
    " credential_spec depends_on deploy devices dns dns_search domainname entrypoint environment"
    " env_file expose external_links extra_hosts healthcheck hostname image init ipc isolation"
    " labels links logging mac_address network_mode networks oom_score_adj pid ports privileged"
    " read_only restart secrets security_opt shm_size stdin_open stop_grace_period stop_signal"
    " sysctls tmpfs tty ulimits user userns_mode volumes working_dir"
    # Refused with another message, which is the rule `refused`.
    " extends volume_driver volumes_from cpu_quota cpu_shares cpuset mem_limit memswap_limit",
    "healthcheck": "test interval timeout retries start_period start_interval disable",
    "deploy": "mode replicas labels update_config rollback_config resources restart_policy"
    " placement endpoint_mode",
    "deploy.update_config": _UPDATE,
    "deploy.rollback_config": _UPDATE,
    "deploy.restart_policy": "condition delay max_attempts window",
    "deploy.placement": "constraints preferences max_replicas_per_node",
    "deploy.resources": "limits reservations",
    "deploy.resources.limits": "cpus memory pids",
    "deploy.resources.reservations": "cpus memory generic_resources",
}
_LISTS: Final = ("depends_on", "secrets", "configs", "cap_add", "deploy.placement.constraints")
_COLLECTIONS: Final = ("environment", "networks", "labels", "deploy.labels", "extra_hosts")
_CHOICES: Final = {
    "deploy.update_config.order": ("start-first", "stop-first"),
    "deploy.rollback_config.order": ("start-first", "stop-first"),
}
#: Go's time.ParseDuration, of which Docker takes no negative ones.
_DURATION: Final = re.compile(r"0|(?:(?:\d+\.?\d*|\.\d+)(?:ns|us|µs|ms|s|m|h))+")
_DURATIONS: Final = (
    "stop_grace_period",
    *(f"healthcheck.{key}" for key in ("interval", "timeout", "start_period", "start_interval")),
    *(f"deploy.{key}_config.{of}" for key in ("update", "rollback") for of in ("delay", "monitor")),
    *(f"deploy.restart_policy.{key}" for key in ("delay", "window")),
)
_HIGHEST_PORT: Final = 65535


@service_rule(
    "unknown-key",
    Level.ERROR,
    Criterion.RUNNING,
    "a key or kind of value that docker stack deploy refuses",
    "Correct it; what is Compose's own (profiles, pull_policy, …) has no place in a stack file.",
)
def unknown_key(service: Service, audit: Audit) -> Iterator[Found]:
    """A misspelt field also hides what it was meant to say from every other rule."""
    for path, keys in _KEYS.items():
        here = service.get(path) if path else service.body
        if here is None:
            continue
        if not isinstance(here.value, dict):
            yield at(service, here, path, "must be a mapping")
            continue
        for key, entry in here.map().items():
            if key not in keys.split() and not key.startswith("x-"):
                near = difflib.get_close_matches(key, keys.split(), 1)
                message = f"there is no {key!r}" + (f", but {near[0]!r}" if near else "")
                yield at(service, entry, f"{path}.{key}".lstrip("."), message)
    yield from _kinds(service)


def _kinds(service: Service) -> Iterator[Found]:
    def wrong(found: Located | None, *kinds: type) -> bool:
        return found is not None and not isinstance(found.value, kinds)

    for path in _LISTS:
        found = service.get(path)
        if found is not None and wrong(found, list):
            yield at(service, found, path, "must be a list")
    for path in _COLLECTIONS:
        found = service.get(path)
        if found is not None and wrong(found, list, dict):
            yield at(service, found, path, "must be a mapping or a list")
    for path, choices in _CHOICES.items():
        found = service.get(path)
        if found is not None and found.text not in choices:
            message = f"{found.text!r} is neither {' nor '.join(choices)}"
            yield at(service, found, path, message)
    for path in _DURATIONS:
        found = service.get(path)
        if found is not None and not _DURATION.fullmatch(found.text):
            yield at(service, found, path, f"{found.text!r} is no duration (10s, 1m30s, 500ms)")
    for port in service.ports:
        if max(port.published or 0, port.target) > _HIGHEST_PORT:
            yield at(service, port.at, "ports", f"there is no port above {_HIGHEST_PORT}")
