"""Every rule: a clean stack with one break yields that rule and no other, and look-alikes none."""

# ruff: noqa: E501  # tables: a line a case

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.audit_builders import DATABASE, PINNED, WEB, changed, found, nodes, rules, stack
from verify.audit.audit import UNUSED, judge
from verify.audit.nodes import Nodes
from verify.audit.rule import RULES

Changes = dict[str, Any]


def script(text: str) -> Changes:
    return {"command": ["sh", "-c", text]}


def variable(name: str, value: Any) -> Changes:
    return {f"environment.{name}": value}


HOST_PORT = {"ports": [{"target": 8080, "published": 80, "mode": "host"}]}
ONE_NODE = {"deploy.placement.constraints": ["node.labels.tier == core"]}
FOUR_REPLICAS = {"deploy.replicas": 4}

#: Rule → breaks of WEB.
RED_WEB: list[tuple[str, Changes]] = [
    ("no-matching-node", {"deploy.placement.constraints": ["node.labels.tier == gpu"]}),
    ("no-matching-node", {"deploy.placement.constraints": ["node.hostname == gmktek"]}),
    ("no-matching-node", {"deploy.placement.constraints": ["node.hostname = gmktec"]}),
    ("pinned", {"deploy.placement.constraints": ["node.hostname==gmktec"]}),
    ("pinned", {"deploy.placement.constraints": ["node.role != manager"]}),
    ("pinned", {"deploy.placement.constraints": ["node.id == 24ifsmvkjbyhk"]}),
    ("no-replicas", {"deploy.replicas": 0}),
    ("no-replicas", {"deploy.replicas": "0"}),
    ("no-replicas", {"deploy.mode": "replicated", "deploy.replicas": "${N:-0}"}),
    ("single-replica", {"deploy.replicas": 1}),
    ("single-replica", {"deploy.replicas": "1"}),
    ("single-replica", {"deploy.replicas": None}),
    ("local-volume-moves", {"volumes": ["local:/data"], "deploy.update_config.order": "stop-first"}),
    (
        "local-volume-moves",
        {
            "volumes": [{"type": "bind", "source": "/mnt/data/x", "target": "/x", "read_only": True}],
        },
    ),
    ("docker-socket", {"volumes": ["/var/run/docker.sock:/var/run/docker.sock"]}),
    ("local-volume-moves", {"volumes": ["bound:/data:ro"],
                            "/volumes.bound": {"driver_opts": {"type": "none", "o": "bind", "device": "/x"}}}),
    ("docker-socket", {"volumes": ["/var/run/docker.sock:/s:ro"]}),
    (
        "docker-socket",
        {"volumes": [{"type": "bind", "source": "/run/docker.sock", "target": "/d"}]},
    ),
    (
        "docker-socket",
        {
            "volumes": ["engine:/s:ro"],
            "/volumes.engine": {
                "driver_opts": {"type": "none", "o": "bind,ro", "device": "/var/run/docker.sock"}
            },
        },
    ),
    ("no-health-check", {"healthcheck": None}),
    ("no-health-check", {"healthcheck": {"disable": True}}),
    ("no-health-check", {"healthcheck": {"test": ["NONE"]}}),
    ("no-health-check", {"healthcheck": {"interval": "3s"}}),
    ("no-health-check", {"healthcheck.test": ["CMD", "true"]}),
    ("no-health-check", {"healthcheck.test": ["CMD", "/bin/true"]}),
    ("no-health-check", {"healthcheck.test": ["CMD-SHELL", "exit 0"]}),
    ("no-health-check", {"healthcheck.test": "curl -f http://localhost/ || true"}),
    ("no-health-check", {"healthcheck.test": ["CMD-SHELL", "curl -f http://localhost/ || exit 0"]}),
    ("no-health-check", {"healthcheck.test": ["CMD", "sh", "-c", "curl -f http://localhost/; true"]}),
    ("no-health-check", {"healthcheck.test": ["CMD", "bash", "-c", "check a || echo down"]}),
    ("no-health-check", {"healthcheck.test": "check a && check b || :"}),
    ("no-update-order", {"deploy.update_config": None}),
    ("no-update-order", {"deploy.update_config": {"parallelism": 1}}),
    ("host-port-start-first", {**HOST_PORT, "deploy.replicas": 3}),
    ("host-port-start-first", {**HOST_PORT, "deploy.update_config.parallelism": 2}),
    ("host-port-start-first", {**HOST_PORT, "deploy.mode": "global", "deploy.replicas": None}),
    ("host-port-too-few-nodes", {**HOST_PORT, **FOUR_REPLICAS, "deploy.update_config.order": "stop-first"}),
    ("gives-up", {"deploy.restart_policy": {"condition": "none"}}),
    ("gives-up", {"deploy.restart_policy": {"condition": "on-failure"}}),
    ("gives-up", {"deploy.restart_policy": {"max_attempts": 3}}),
    ("no-memory-limit", {"deploy.resources.limits": None}),
    ("no-memory-limit", {"deploy.resources.limits": {"cpus": "1"}}),
    ("no-memory-reservation", {"deploy.resources.reservations": None}),
    ("reservation-above-limit", {"deploy.resources.limits.memory": "128M"}),
    (
        "reserved-above-memory",
        {"deploy.resources": {"limits": {"memory": "40g"}, "reservations": {"memory": "32G"}}},
    ),
    ("undeclared", {"networks": ["app", "database"]}),
    ("undeclared", {"networks": {"app": {}, "database": {"aliases": ["x"]}}}),
    ("undeclared", {"secrets": ["db_password", "other"]}),
    ("undeclared", {"secrets": ["db_password", {"source": "other", "target": "x"}]}),
    ("undeclared", {"configs": ["nginx"]}),
    ("undeclared", {"volumes": [{"type": "volume", "source": "shred", "target": "/x", "read_only": True}],
                    "/volumes.shred2": {}, "deploy.mode": "global", "deploy.replicas": None}),
    ("unencrypted-overlay", {"/networks.app": {"driver": "overlay"}}),
    ("unencrypted-overlay", {"/networks.app": {"driver_opts": {"encrypted": "false"}}}),
    ("unencrypted-overlay", {"/networks.app.driver_opts": {"mtu": "1400"}}),
    ("unencrypted-overlay", {"networks": None}),
    ("database-published", {"ports": ["5432:5432"]}),
    ("database-published", {"ports": [{"target": "6379", "published": "16379"}]}),
    ("dnsrr-with-mesh", {"deploy.endpoint_mode": "dnsrr"}),
    ("floating-tag", {"image": "example/web"}),
    ("floating-tag", {"image": "example/web:latest"}),
    ("floating-tag", {"image": "registry.example.org:5000/web"}),
    ("plaintext-secret", variable("DB_PASSWORD", "hunter22")),
    ("plaintext-secret", variable("dbPassword", "hunter22")),
    ("plaintext-secret", variable("PGPASSWORD", "hunter22")),
    ("plaintext-secret", variable("MYSQL_PWD", "hunter22")),
    ("plaintext-secret", variable("REDISCLI_AUTH", "hunter22")),
    ("plaintext-secret", variable("SSHPASS", "hunter22")),
    ("plaintext-secret", variable("DB_PASS", "12345678")),
    ("plaintext-secret", variable("JWT_SECRET", "s3cret")),
    ("plaintext-secret", variable("AWS_SECRET_ACCESS_KEY", "abc/def")),
    ("plaintext-secret", variable("API_KEY", "abcdef")),
    ("plaintext-secret", {"environment": ["GITLAB_TOKEN"]}),
    ("plaintext-secret", {"environment": ["SMTP_PASSWORD=a=b"]}),
    ("plaintext-secret", variable("DATABASE_URL", "postgres://app:hunter22@db/shop")),
    ("plaintext-secret", variable("DSN", "host=db user=app password=hunter22")),
    ("plaintext-secret", variable("UPSTREAM", "ghp_abcdefghijklmnopqrstuvwxyz0123456789")),
    ("plaintext-secret", {"deploy.labels": {"x": "glpat-abcdefghijklmnopqrst"}}),
    ("secret-in-command", script("git clone https://oauth2:$$TOKEN@git.example.org/x")),
    ("secret-in-command", script("git push https://$$GITHUB_TOKEN@git.example.org/x")),
    ("secret-in-command", script('curl -H "PRIVATE-TOKEN: $$TOKEN" http://git/api')),
    ("secret-in-command", {"command": ["redis-server", "--requirepass", "hunter22"]}),
    ("secret-in-command", script("mysqldump --password=hunter22 shop")),
    ("secret-in-command", script("PGPASSWORD=hunter22 psql")),
    ("secret-in-command", {"healthcheck.test": "redis-cli --pass x || curl http://u:pw@localhost/"}),
    ("secret-copied", script("cp /run/secrets/db_password /root/.ssh/id && run")),
    ("secret-twice", {"secrets": ["db_password", "db_password"]}),
    ("secret-twice", {"secrets": ["db_password", {"source": "db_password", "target": "db_password"}]}),
    ("secret-not-mounted", variable("API_KEY_FILE", "/run/secrets/api_key")),
    ("secret-not-mounted", script('serve --key "$$(cat /run/secrets/api_key)"')),
    ("secret-not-mounted", {"secrets": [{"source": "db_password", "target": "pw"}]}),
    ("refused", {"env_file": "gone.env"}),
    ("unknown-key", {"pull_policy": "always"}),
    ("unknown-key", {"restart_policy": {"condition": "any"}}),
    ("unknown-key", {"deploy.replica": 4}),
    ("unknown-key", {"deploy.update_config.ordr": "x"}),
    ("unknown-key", {"deploy.resources.limits.mem": "1g"}),
    ("unknown-key", {"deploy.placement.constraint": ["x"]}),
    ("unknown-key", {"healthcheck.tests": "x"}),
    ("unknown-key", {"environment": "text"}),
    ("unknown-key", {"deploy.update_config.order": "first"}),
    ("unknown-key", {"healthcheck.interval": "soon"}),
    ("unknown-key", {"stop_grace_period": "10"}),
    ("unknown-key", {"deploy.restart_policy.window": "1 m"}),
    ("unknown-key", {"ports": ["99999:8080"]}),
    ("unknown-key", {"ports": ["80:70000"]}),
    ("installs-at-start", script("apk add --no-cache curl && serve")),
    ("installs-at-start", script("apt-get update && apt-get -y install curl")),
    ("installs-at-start", script("pip install flask; serve")),
    ("installs-at-start", script("curl -s http://x.example.org/i | sh")),
    ("installs-at-start", {"entrypoint": "sh -c 'npm ci && npm start'"}),
    ("trust-on-first-use", script("ssh-keyscan host >> known_hosts")),
    ("trust-on-first-use", script("ssh -o StrictHostKeyChecking=no host")),
    ("trust-on-first-use", script("curl -sk http://x")),
    ("trust-on-first-use", variable("GIT_SSL_NO_VERIFY", "1")),
    ("trust-on-first-use", variable("GIT_SSH_COMMAND", "ssh -o StrictHostKeyChecking=accept-new")),
    ("mirror-deletes", script("rsync -avz --delete /etc/ host:/x/")),
    ("mirror-deletes", script("rsync -a --delete-after \\\n  /etc/ host:/x/")),
    ("mirror-deletes", script("rsync -a \\\n  --delete \\\n  /etc/ host:/x/")),
    ("mirror-deletes", script("rsync -a --delete /etc/ host:/web-b /x")),
    ("mirror-deletes", script("rclone sync /etc remote:etc")),
    ("mirror-deletes", {"command": ["rsync", "-a", "--delete", "/etc/", "host:/x"]}),
    ("copies-unmounted", script("cp /data/dump.rdb /tmp/")),
    ("copies-unmounted", script("tar -czf /tmp/x.tgz /var/lib/app")),
    ("copies-unmounted", script("tar czf /tmp/x.tgz -C / /srv/app")),
    ("copies-unmounted", script("rsync -a /backups/ host:/x/")),
    ("script-falls-apart", {"command": "serve && watch"}),
    ("script-falls-apart", {"command": 'sh -c "echo "one two" && serve"'}),
    ("script-falls-apart", {"command": ["serve", "|", "tee", "log"]}),
    ("ignored-option", {"restart": "always"}),
    ("ignored-option", {"depends_on": ["db"]}),
    ("ignored-option", {"container_name": "web"}),
    ("ignored-option", {"privileged": True}),
    ("refused", {"mem_limit": "512m"}),
    ("refused", {"deploy.resources.limits.memory": 536870912}),
    ("refused", variable("DEBUG", True)),
    ("refused", script("echo $(date)")),
    ("refused", variable("X", "${NAME#prefix}")),
    ("refused", variable("X", "${A:-${B}}")),
    ("variable-not-set", variable("X", "${NAME}")),
    ("variable-not-set", script("echo $HOME")),
]  # fmt: skip

#: Rule → breaks of DATABASE.
RED_DATABASE: list[tuple[str, Changes]] = [
    ("start-first-shares-data", {"deploy.update_config.order": "start-first"}),
    ("short-stop", {"stop_grace_period": None}),
    ("short-stop", {"stop_grace_period": "1500ms"}),
    ("data-not-kept", {"volumes": ["data:/elsewhere"]}),
    ("data-not-kept", {"environment": ["PGDATA=/srv/pg"]}),
    ("nobody-listens", {"image": "edoburu/pgbouncer:1.23", "ports": ["6000:6000"], "command": None,
                        "environment": {"DB_HOST": "db"}}),
    ("unknown-variable", {"environment": ["POSTGRES_REPLICATION_MODE=slave"]}),
    ("unknown-variable", {"environment": {"POSTGRES_MAX_CONNECTIONS": "200"}}),
    ("unknown-variable", {"image": "docker.io/library/postgres:16", "environment": ["POSTGRES_PASSWORT_FILE=/x"]}),
    ("unknown-variable", {"image": "mirror.example.org/library/postgres:16", "environment": ["X=1"]}),
    ("unknown-variable", {"image": "redis:7", "command": "redis-server", "volumes": ["data:/data"],
                          "environment": ["REDIS_MAXMEMORY=1g"]}),
    ("database-as-root", {"command": ["sh", "-c", "pg_basebackup -R; exec postgres -c x=y"]}),
    ("limits-above-memory", {"deploy.resources.limits.memory": "32g"}),
    ("folded-script", {}),
    ("pinned-local-volume", {"volumes": ["/mnt/data/pg:/var/lib/postgresql/data"]}),
]  # fmt: skip

#: What looks like a break of a rule, and is none.
GREEN_WEB: list[tuple[str, Changes]] = [
    ("no-matching-node", {"deploy.placement.constraints": ["node.platform.os == linux"]}),
    ("no-matching-node", {"deploy.placement.constraints": ["node.labels.tier != gpu"]}),
    ("pinned", {"deploy.placement.constraints": ["node.labels.tier==core"], "deploy.mode": "global",
                "deploy.replicas": None}),
    ("docker-socket", {"volumes": ["engine:/s"], "/volumes.engine": {
        "driver_opts": {"type": "nfs", "o": "addr=192.0.2.9", "device": ":/run/docker.sock"}}}),
    ("no-replicas", {"deploy.replicas": "${N:-2}"}),
    ("single-replica", {"deploy.mode": "global", "deploy.replicas": None}),
    ("single-replica", {"deploy.mode": "replicated-job", "deploy.replicas": 1}),
    ("local-volume-moves", {"volumes": ["shared:/data"]}),
    ("local-volume-moves", {"volumes": ["/etc/localtime:/etc/localtime:ro"], "tmpfs": "/x"}),
    ("local-volume-moves", {"volumes": ["/:/host:ro", "/proc:/host/proc:ro"]}),
    ("no-health-check", {"image": "prodrigestivill/postgres-backup-local:16", "healthcheck": None}),
    ("no-health-check", {"healthcheck": {"test": "curl -f localhost"}}),
    ("no-health-check", {"healthcheck.test": "curl -f http://localhost/ || exit 1"}),
    ("no-health-check", {"healthcheck.test": "curl -f http://localhost/ && true"}),
    ("no-health-check", {"healthcheck.test": "curl -f http://localhost/ || exit 1; exit 0"}),
    ("no-health-check", {"healthcheck.test": "set -e; check; echo fine"}),
    ("no-health-check", {"healthcheck.test": ["CMD", "bash", "-ec", "check; true"]}),
    ("no-health-check", {"healthcheck.test": "exec check; true"}),
    ("no-health-check", {"healthcheck.test": "until check; do sleep 1; done; echo fine"}),
    ("no-health-check", {"healthcheck.test": "if check; then true; else false; fi"}),
    ("no-health-check", {"healthcheck.test": "a || (b; true) && check"}),
    ("no-health-check", {"healthcheck.test": "(check || echo no | grep -q yes)"}),
    ("no-health-check", {"healthcheck.test": ["CMD", "check", "||", "true"]}),
    ("no-health-check", {"healthcheck.test": ["CMD", "curl", "--fail", "http://localhost/?x=;true"]}),
    ("no-update-order", {"deploy.update_config": {"order": "stop-first"}}),
    ("start-first-shares-data", {"volumes": ["shared:/data"]}),
    ("host-port-start-first", HOST_PORT),
    ("host-port-start-first", {**HOST_PORT, "deploy.replicas": 3,
                               "deploy.update_config.order": "stop-first"}),
    ("host-port-too-few-nodes", {**HOST_PORT, "deploy.replicas": 3}),
    ("port-collision", {"ports": ["80:8080/tcp", "80:8080/udp", "8080"]}),
    ("gives-up", {"deploy.restart_policy": {"condition": "any", "delay": "2s", "max_attempts": 0}}),
    ("gives-up", {"deploy.mode": "global-job", "deploy.restart_policy": {"condition": "none"},
                  "deploy.replicas": None}),
    ("no-memory-limit", {"deploy.resources.limits": {"memory": "536870912"}}),
    ("no-memory-limit", {"deploy.resources.limits": {"memory": "1 GiB"}}),
    ("reservation-above-limit", {"deploy.resources.limits.memory": "262144k"}),
    ("undeclared", {"networks": ["default"], "/networks.default": {"external": True}}),
    ("undeclared", {"volumes": ["/anonymous", "./here:/x"], "deploy.mode": "global",
                    "deploy.replicas": None}),
    ("unencrypted-overlay", {"/networks.app": {"external": True, "name": "app"}}),
    ("unencrypted-overlay", {"/networks.app": {"driver_opts": {"encrypted": ""}}}),
    ("unencrypted-overlay", {"networks": None, "/networks.default": {"driver_opts": {"encrypted": "1"}}}),
    ("database-published", {"ports": ["5432:8080"]}),
    ("dnsrr-with-mesh", {**HOST_PORT, "deploy.endpoint_mode": "dnsrr"}),
    ("nobody-listens", {"ports": ["6000:6000"]}),
    ("floating-tag", {"image": "web@sha256:" + "a" * 64}),
    ("floating-tag", {"image": "registry.example.org:5000/web:1"}),
    ("unknown-variable", variable("POSTGRES_REPLICATION_MODE", "slave")),
    ("plaintext-secret", variable("DB_PASSWORD_FILE", "/run/secrets/x")),
    ("plaintext-secret", variable("SSH_KEY_FILE", "/run/secrets/db_password")),
    ("plaintext-secret", variable("PASSWORD", "/run/secrets/x")),
    ("plaintext-secret", variable("ALLOW_EMPTY_PASSWORD", "yes")),
    ("plaintext-secret", variable("TOKEN_TTL", "3600")),
    ("plaintext-secret", variable("REMOTE_HOST_KEY", "ssh-ed25519 AAAA")),
    ("plaintext-secret", variable("PUBLIC_KEY", "AAAA")),
    ("plaintext-secret", variable("AWS_ACCESS_KEY_ID", "name")),
    ("plaintext-secret", variable("KEYCLOAK_URL", "https://sso.example.org/auth")),
    ("plaintext-secret", variable("BYPASS", "x")),
    ("plaintext-secret", variable("PWD", "data")),
    ("plaintext-secret", variable("OLDPWD", "data")),
    ("plaintext-secret", variable("INIT_PWD", "/srv/data")),
    ("plaintext-secret", variable("COMPASS", "x")),
    ("plaintext-secret", variable("PASSENGER_APP_ENV", "production")),
    ("plaintext-secret", variable("ETCD_INITIAL_CLUSTER_TOKEN", "shop")),
    ("plaintext-secret", variable("DATABASE_URL", "postgres://app@db:5432/shop")),
    ("plaintext-secret", variable("DB_PASSWORD", "")),
    ("plaintext-secret", {"environment": ["DB_USER=app", "HOME"]}),
    ("secret-in-command", script('PGPASSWORD="$$(cat /run/secrets/x)" psql')),
    ("secret-in-command", script("mysql --password-file /run/secrets/x; git clone https://git.example.org/x")),
    ("secret-in-command", script("rsync -a /etc/ $$USER@$$HOST:/x")),
    ("secret-in-command", script("psql postgres://$$USER@db/shop; get-token now")),
    ("secret-copied", script("ssh -i /run/secrets/db_password host")),
    ("secret-not-mounted", {**variable("DB_PASSWORD_FILE", "/run/secrets/pw"),
                            "secrets": [{"source": "db_password", "target": "/run/secrets/pw"}]}),
    ("secret-twice", {"secrets": ["db_password", {"source": "db_password", "target": "x"}]}),
    ("installs-at-start", script("# apk add curl\nserve --add-on apk")),
    ("trust-on-first-use", script("ssh -o StrictHostKeyChecking=yes host; curl -so /tmp/x http://k")),
    ("trust-on-first-use", variable("GIT_SSL_NO_VERIFY", "false")),
    ("mirror-deletes", script("rsync -a --delete --link-dest=../1 /etc/ host:/2/")),
    ("mirror-deletes", script("rsync -a --delete \\\n  --link-dest=../1 /etc/ host:/2/")),
    ("unknown-key", {"stop_grace_period": "1m30.5s", "healthcheck.interval": "0", "ports": ["65535:80"]}),
    ("unknown-key", {"x-ours": 1, "healthcheck.start_interval": "1s", "deploy.labels": ["a=b"]}),
    ("mirror-deletes", script("rsync -a --delete --backup-dir=/old /etc/ host:/x/")),
    ("mirror-deletes", script("rsync -a /etc/ host:/x/; rm --delete")),
    ("mirror-deletes", script("rsync -avb --delete /etc/ host:/x/")),
    ("unencrypted-overlay", {"/networks.app": {"driver_opts": {"encrypted": None}}}),
    ("copies-unmounted", {**script("cp /data/dump.rdb /tmp/"), "volumes": ["shared:/data"]}),
    ("copies-unmounted", script("cp /etc/x /tmp; cp /app/a /b; cp /run/secrets/k /tmp")),
    ("copies-unmounted", script("mkdir -p /data/x && cp /data/x/y /tmp")),
    ("copies-unmounted", script("pg_dump -f /dumps/x && tar -cf - /dumps/x | ssh h")),
    ("copies-unmounted", script("tar -xzf /data/x.tgz -C /srv")),
    ("copies-unmounted", {**script("cp /srv/conf /tmp"), "configs": [{"source": "c", "target": "/srv/conf"}],
                          "/configs.c": {"external": True}}),
    ("script-falls-apart", {"command": 'sh -c "serve && watch"'}),
    ("script-falls-apart", {"command": ["serve && watch"], "entrypoint": ["/bin/sh", "-c"]}),
    ("script-falls-apart", {"command": "sh -c 'serve $$0 $$1' one two"}),
    ("script-falls-apart", {"healthcheck.test": "curl localhost || exit 1"}),
    ("ignored-option", {"privileged": False}),
    ("refused", script("echo $$(date) $${NAME#x} ${A:-b}")),
    ("variable-not-set", variable("X", "${NAME:-x} ${OTHER-}")),
]  # fmt: skip
GREEN_DATABASE: list[tuple[str, Changes]] = [
    ("short-stop", {"stop_grace_period": "30s"}),
    ("data-not-kept", {"volumes": ["data:/var/lib/postgresql"]}),
    ("data-not-kept", {"volumes": [{"type": "volume", "source": "data", "target": "/var/lib/postgresql/data"}]}),
    ("unknown-variable", {"environment": ["PGDATA=/var/lib/postgresql/data/x", "TZ=UTC",
                                          "POSTGRES_INITDB_ARGS=-k"]}),
    ("unknown-variable", {"environment": {"ROLE": "replica"}, "command": "docker-entrypoint.sh postgres -c x=$$ROLE"}),
    ("nobody-listens", {"image": "edoburu/pgbouncer:1.23", "ports": ["6000:6000"], "command": None,
                        "environment": {"LISTEN_PORT": "6000"}}),
    ("database-as-root", {"command": ["sh", "-c", "exec gosu postgres postgres -c x=y"]}),
    ("database-as-root", {"command": ["-c", "x=y"]}),
    ("database-as-root", {"command": ["sh", "-c", "psql -h the-postgres -U postgres -c 'select 1'"]}),
    ("database-as-root", {"command": ["sh", "-c", "postgres -c x=y"], "user": "postgres"}),
    ("limits-above-memory", {"deploy.resources.limits.memory": "31G"}),
]  # fmt: skip
FOLDED = """
    command: >
      sh -c "
      # Wait for it
      until pg_isready; do
        sleep 2
      done
      exec docker-entrypoint.sh postgres -c x=y
      "
"""


def test_nothing_is_found_in_a_clean_stack() -> None:
    assert found(WEB) == []
    assert rules(DATABASE) == PINNED


@pytest.mark.parametrize(("rule", "change"), RED_WEB)
def test_a_break_yields_its_rule_and_no_other(rule: str, change: Changes) -> None:
    # Some breaks are of two kinds by nature: what a database publishes, it publishes.
    assert rules(changed(WEB, change)) == {rule}


@pytest.mark.parametrize(("rule", "change"), RED_DATABASE)
def test_a_break_of_a_database_yields_its_rule(rule: str, change: Changes) -> None:
    text = changed(DATABASE, change)
    if rule == "folded-script":
        text = DATABASE.replace("\n    command: postgres -c wal_level=replica\n", FOLDED)
    assert rules(text) == {rule} | PINNED


@pytest.mark.parametrize(("rule", "change"), GREEN_WEB)
def test_what_looks_like_a_break_is_none(rule: str, change: Changes) -> None:
    assert rule in RULES
    assert rule not in rules(changed(WEB, change))


@pytest.mark.parametrize(("rule", "change"), GREEN_DATABASE)
def test_what_looks_like_a_break_of_a_database_is_none(rule: str, change: Changes) -> None:
    assert rule not in rules(changed(DATABASE, change))


@pytest.mark.parametrize(
    "ports",
    [
        ["80:9000"],
        ["8000-8090:9000-9090", {"target": 1, "published": 80}],
        [{"target": 1, "published": "80", "mode": "host"}],
        ["192.0.2.1:80:9000"],
        ["79-81:9079-9081"],
    ],
)
def test_two_services_on_one_port(ports: list[Any]) -> None:
    other = changed(WEB, {"ports": ports})
    (finding,) = found(WEB, other)
    assert finding.rule.id == "port-collision"
    assert finding.found.message == "80/tcp is taken on every node by shop/web"
    assert finding.found.subject == "shop1/web"


def test_host_ports_collide_only_where_both_have_to_be() -> None:
    first = changed(WEB, {**HOST_PORT, **ONE_NODE, "deploy.replicas": 1})
    elsewhere = {"deploy.placement.constraints": ["node.labels.tier == data"]}
    apart = changed(WEB, {**HOST_PORT, **elsewhere, "deploy.replicas": 1})
    anywhere = changed(WEB, {**HOST_PORT, "deploy.replicas": 1})
    everywhere = changed(WEB, {**HOST_PORT, "deploy.mode": "global", "deploy.replicas": None})
    assert "port-collision" not in rules(first, apart)
    assert "port-collision" not in rules(first, anywhere)
    assert "port-collision" in rules(first, first)
    assert "port-collision" in rules(first, everywhere)


def test_what_many_services_take_together_is_above_the_memory() -> None:
    wide = {
        "deploy.placement.constraints": ["node.hostname == wsasus"],
        "deploy.resources": {"limits": {"memory": "6G"}, "reservations": {"memory": "6G"}},
    }
    text = changed(DATABASE, wide)
    assert rules(text) == PINNED
    both = found(text, text)
    told = {f.rule.id: f for f in both if f.rule.id not in {*PINNED, "not-backed-up"}}
    assert set(told) == {"limits-above-memory", "reserved-above-memory"}
    place = told["reserved-above-memory"].found
    assert place.subject == "wsasus"
    assert place.message == "reservations of 2 task(s) on wsasus add up to 12G, it has 11G"


def test_stacks_that_never_stand_together_take_nothing_from_each_other() -> None:
    wide = {"deploy.resources": {"limits": {"memory": "20G"}, "reservations": {"memory": "20G"}}}
    text = changed(DATABASE, {**wide, "ports": ["80:80"]})
    stacks = [stack(text, "one"), stack(text, "other")]
    both = {f.rule.id for f in judge(stacks, nodes()).findings}
    apart = {f.rule.id for f in judge(stacks, nodes(), apart=["other"]).findings}
    assert both - apart == {"port-collision", "limits-above-memory", "reserved-above-memory"}
    assert apart == rules(text) | {"not-backed-up"}


def test_what_may_go_anywhere_needs_room_somewhere() -> None:
    """Three nodes of 28, 31 and 11 GB: the fourth task of 20 GB has none."""
    big = {"limits": {"memory": "20G"}, "reservations": {"memory": "20G"}}
    assert rules(changed(WEB, {"deploy.resources": big})) == set()
    assert rules(changed(WEB, {"deploy.resources": big, "deploy.replicas": 3})) == {
        "reserved-above-memory"
    }


def test_a_global_service_takes_its_memory_on_every_node() -> None:
    everywhere = {
        "deploy.mode": "global",
        "deploy.replicas": None,
        "deploy.placement": None,
        "deploy.resources": {"limits": {"memory": "6G"}, "reservations": {"memory": "1G"}},
    }
    (finding,) = found(changed(WEB, everywhere))
    assert (finding.rule.id, finding.found.subject) == ("limits-above-memory", "hpr")


def test_a_node_whose_memory_nobody_knows() -> None:
    without = Nodes(nodes().nodes, {k: v for k, v in nodes().memory.items() if k != "hpr"})
    (finding,) = found(WEB, on=without)
    assert (finding.rule.id, finding.found.subject) == ("unknown-memory", "hpr")


def test_every_rule_has_a_red_and_a_green_test() -> None:
    elsewhere = {"port-collision", "unknown-memory", "not-backed-up", UNUSED}
    red = {rule for rule, _ in RED_WEB + RED_DATABASE}
    green = {rule for rule, _ in GREEN_WEB + GREEN_DATABASE}
    assert red | elsewhere == set(RULES)
    # A clean stack is green for all; look-alikes are for those that read texts.
    assert green <= set(RULES)


@pytest.mark.parametrize("rule", RULES.values(), ids=lambda rule: rule.id)
def test_every_rule_says_what_and_how(rule: Any) -> None:
    assert rule.summary[0].islower() or rule.summary[0] == "`" or rule.summary.startswith("Swarm")
    assert rule.remedy.endswith((".", "2G)."))
    assert len(rule.summary) < 110
