"""PromQL's own unit tests (`promtool test rules`): alerts at times that nobody waits for.

The file format: prometheus.io/docs/prometheus/latest/configuration/unit_testing_rules.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Final

import yaml

from fixtures.cluster.cluster import Cluster

SECONDS: Final = 60.0
_FIRING: Final = 'count(ALERTS{{alertname="{}", alertstate="firing"}})'
_RUN: Final = (
    "set -e; d=$(mktemp -d); trap 'rm -rf $d' EXIT; cd $d; cat >all;"
    " sed '/^#= /,$d' all >rules.yml; sed '1,/^#= /d' all >test.yml;"
    " promtool check rules rules.yml 2>&1; promtool test rules test.yml 2>&1"
)


def written(
    series: Mapping[str, str],
    checks: Sequence[tuple[str, int, bool]],
) -> str:
    """Return a test: `series` → values (promtool's notation, one a minute).

    `checks`: alert, minute, whether it fires then. Which labels it has is not asked, so the test
    is of an expression over ALERTS.
    """
    tests = [
        {
            "expr": f"clamp_max({_FIRING.format(alert)} or vector(0), 1)",
            "eval_time": f"{minute}m",
            "exp_samples": [{"labels": "{}", "value": 1 if fires else 0}],
        }
        for alert, minute, fires in checks
    ]
    return yaml.safe_dump(
        {
            "rule_files": ["rules.yml"],
            "evaluation_interval": "1m",
            "tests": [
                {
                    "interval": "1m",
                    "input_series": [
                        {"series": name, "values": values} for name, values in series.items()
                    ],
                    "promql_expr_test": tests,
                }
            ],
        },
        sort_keys=False,
    )


def failures(cluster: Cluster, service: str, rules: str, test: str) -> list[str]:
    """Run `test` on `rules` with the promtool of a task of `service`; return what failed.

    Raises `CutoverError` when no task runs or there is no promtool.
    """
    node, task = cluster.a_task(service)
    both = f"{rules}\n#= test\n{test}"
    done = node.run(
        shlex.join(["docker", "exec", "--interactive", task.container_id, "sh", "-c", _RUN]),
        stdin=both.encode(),
        timeout=SECONDS,
        check=False,
    )
    if done.rc == 0 and "SUCCESS" in done.stdout:
        return []
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    return [" ".join(lines) or f"exit code {done.rc}"]
