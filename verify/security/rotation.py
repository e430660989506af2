"""Two database roles that take turns, so that a password can be changed while it is in use.

PostgreSQL has one password a role: changed in place, it shuts out every client that has not been
told yet. So the service is given another role, and the former one is retired when nobody uses it.
"""

from __future__ import annotations

import secrets as random_source
import shlex
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Final, Self

import psycopg
from psycopg import sql

from fixtures.cluster.cluster import Cluster
from fixtures.errors import CannotProve, CutoverError
from fixtures.stacks.catalogue import OWNED_LABEL
from fixtures.waiting import NeverTrue, Pending, eventually
from verify.replication import Server, connected, server_of
from verify.rollout import Change

PREFIX: Final = "cutover_rotation_"
#: The file in /run/secrets, and the variable, by which a service of ours learns its login.
FILE: Final = "postgres_password"
USER: Final = "DB_USER"
_SECONDS: Final = 20.0
_REFUSALS: Final = ("password authentication failed", "is not permitted to log in")


@dataclass(frozen=True, repr=False)
class Login:
    """A role with its password, and the Docker secret that holds that."""

    role: str
    value: str
    secret_id: str
    secret_name: str

    def __repr__(self) -> str:
        return f"<Login {self.role}>"

    @property
    def change(self) -> Change:
        """The update by which a service takes it."""
        return Change({USER: self.role}, secrets={FILE: (self.secret_id, self.secret_name)})


def check_takes_logins(spec: Mapping[str, Any]) -> None:
    """Raise `CannotProve` for a service that does not take its login from where ours do."""
    container = spec["TaskTemplate"]["ContainerSpec"]
    files = {mounted["File"]["Name"] for mounted in container.get("Secrets") or ()}
    names = {entry.partition("=")[0] for entry in container.get("Env") or ()}
    if FILE not in files or USER not in names:
        raise CannotProve(
            f"it does not take its login from {USER} and /run/secrets/{FILE}",
            where=f"service {spec.get('Name')}",
        )


class Logins:
    """Makes logins at the primary `primary` with its standby; none is left in the end."""

    def __init__(self, cluster: Cluster, primary: str, standby: str) -> None:
        self._cluster = cluster
        self._primary = server_of(cluster.snapshot(), primary)
        self._standby = server_of(cluster.snapshot(), standby)

    def __enter__(self) -> Self:
        self._sweep()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._sweep()

    def new_value(self) -> str:
        """Return a password that nobody has seen."""
        return random_source.token_urlsafe(24)

    def make(self, value: str) -> Login:
        """Make a role that reads and writes what services do, and its secret.

        The server gets the password's verifier only, so that no log of statements has more.
        """
        role = f"{PREFIX}{random_source.token_hex(4)}"
        with self._connected(self._primary) as server:
            verifier = server.pgconn.encrypt_password(
                value.encode(), role.encode(), b"scram-sha-256"
            ).decode()
            name = sql.Identifier(role)
            server.execute(
                sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(verifier))
            )
            server.execute(
                sql.SQL(
                    "GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public TO {}"
                ).format(name)
            )
        eventually(
            lambda: self._is_known(role), within=_SECONDS, what="the role known to the standby"
        )
        secret = f"{role}-{random_source.token_hex(2)}"
        done = self._cluster.leader().run(
            f"docker secret create --label {OWNED_LABEL}=true {secret} -",
            stdin=value.encode(),
            timeout=_SECONDS,
        )
        return Login(role, value, done.stdout.strip(), secret)

    def _is_known(self, role: str) -> bool | Pending:
        with self._connected(self._standby) as server:
            row = server.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone()
        return Pending("not replicated yet") if row is None else True

    def retire(self, login: Login) -> None:
        """Let nobody log in with it any more."""
        with self._connected(self._primary) as server:
            server.execute(
                sql.SQL("ALTER ROLE {} NOLOGIN PASSWORD NULL").format(sql.Identifier(login.role))
            )

    def accepted(self, login: Login) -> bool:
        """Whether the primary accepts the login. Raises `CutoverError` when it does not say."""
        return accepted(self._cluster, self._primary, login.role, login.value)

    def roles_of(self, application: str) -> set[str]:
        """Return the roles as which an application's sessions are logged in, at both servers."""
        found: set[str] = set()
        for server in (self._primary, self._standby):
            with self._connected(server) as connection:
                rows = connection.execute(
                    "SELECT usename FROM pg_stat_activity WHERE application_name = %s",
                    [application],
                ).fetchall()
            found |= {str(row[0]) for row in rows}
        return found

    def _connected(self, server: Server) -> AbstractContextManager[psycopg.Connection[Any]]:
        return connected(self._cluster, server)

    def _sweep(self) -> None:
        """Remove our roles and secrets, also those of a run that was killed."""
        with self._connected(self._primary) as server:
            rows = server.execute(
                "SELECT rolname FROM pg_roles WHERE starts_with(rolname, %s)", [PREFIX]
            ).fetchall()
            for (role,) in rows:
                name = sql.Identifier(role)
                server.execute(sql.SQL("DROP OWNED BY {}").format(name))
                server.execute(sql.SQL("DROP ROLE {}").format(name))
        self._cluster.leader().run(
            f"docker secret ls --quiet --filter name={PREFIX} | xargs -r docker secret rm",
            timeout=_SECONDS,
        )


def accepted(cluster: Cluster, server: Server, role: str, value: str) -> bool:
    """Whether a server accepts a password. Raises `CutoverError` when it does not say."""
    with cluster.reach(server.service, server.port, socket_name=f".s.PGSQL.{server.port}") as s:
        try:
            psycopg.connect(
                host=str(s.parent),
                port=server.port,
                dbname=server.database,
                user=role,
                password=value,
                connect_timeout=5,
            ).close()
        except psycopg.OperationalError as error:
            if any(refusal in str(error) for refusal in _REFUSALS):
                return False
            raise CutoverError(
                " ".join(str(error).split()), where=f"service {server.service}"
            ) from error
    return True


def held(cluster: Cluster, service: str) -> dict[str, str]:
    """Return task → the content of its password file, of the service of that full name."""
    snapshot = cluster.snapshot()
    found = {}
    for task in snapshot.tasks_of(service):
        if task.running and task.container_id:
            command = ["docker", "exec", task.container_id, "cat", f"/run/secrets/{FILE}"]
            node = cluster.node(snapshot.hostname_of(task.node_id))
            found[task.name] = node.run(shlex.join(command), timeout=_SECONDS).stdout.strip()
    return found


def not_taken(
    contents: Mapping[str, str], roles: set[str], new: Login, former: Login
) -> bool | Pending:
    """Say what is still the former login's; True when nothing is."""
    left = [task for task, content in contents.items() if content != new.value]
    if left or not contents:
        return Pending(f"without the new secret: {', '.join(sorted(left)) or 'no task runs'}")
    if former.role in roles:
        return Pending("sessions of the former role are open")
    if roles != {new.role}:
        return Pending(f"sessions of {len(roles)} roles, the new one not alone")
    return True


def refused_within(ask: Callable[[], bool], *, within: float) -> list[str]:
    """Wait until a login is refused; return the problem when it is not."""
    try:
        eventually(
            lambda: Pending("accepted") if ask() else True,
            within=within,
            what="the former password refused",
        )
    except NeverTrue:
        return ["the former password is still accepted"]
    return []
