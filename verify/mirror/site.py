"""Where GitLab and its mirror are: on a twin its stacks on demand, on servers by the inventory."""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import gitlab
import requests
from docker.transport.unixconn import UnixHTTPConnectionPool
from requests.adapters import HTTPAdapter

from fixtures.cluster.cluster import Cluster
from fixtures.cluster.inventory import GitMirror
from fixtures.errors import CannotProve

API_SECONDS: Final = 20
GITLAB_SERVICE: Final = "gitlab_gitlab-workhorse"
GITHUB_SERVICE: Final = "github_github"
_TWIN = GitMirror(
    gitlab="http://gitlab-workhorse:8181",
    gitlab_service=GITLAB_SERVICE,
    gitlab_port=8181,
    destination="http://github:8080/wizardsofts",
    git_in="gitlab_gitlab-runner",
    probe="wizardsofts/cutover-probe",
)


@dataclass(frozen=True, slots=True)
class Site:
    """GitLab, the host that it mirrors to, and the tokens of both (shown nowhere)."""

    entry: GitMirror
    gitlab_token: str = field(repr=False)
    destination_token: str = field(repr=False)
    delay: float = 300.0

    @property
    def destination(self) -> str:
        """URL below which the mirrors lie."""
        return self.entry.destination

    def copy_of(self, path: str) -> str:
        """URL of the mirror of the project with that full path."""
        return f"{self.destination}/{path.rsplit('/', 1)[-1]}.git"

    def source_of(self, path: str) -> str:
        """URL of the project itself."""
        return f"{self.entry.gitlab}/{path}.git"

    def git_config(self) -> str:
        """Return git's configuration with the credentials of both, for standard input only."""
        return "".join(
            f'[http "{url}"]\n\textraHeader = Authorization: Basic {_basic(token)}\n'
            for url, token in (
                (self.entry.gitlab, self.gitlab_token),
                (self.destination.rsplit("/", 1)[0], self.destination_token),
            )
            if token
        )


def _basic(token: str) -> str:
    return base64.b64encode(f"oauth2:{token}".encode()).decode()


def site_of(cluster: Cluster, delay: float | None = None) -> Site:
    """Return where they are; `delay` is a twin's.

    Raises `CannotProve` if the inventory names no mirror.
    """
    if cluster.is_twin:
        return Site(
            _TWIN,
            _secret(cluster, GITLAB_SERVICE, "gitlab_token"),
            _secret(cluster, GITHUB_SERVICE, "github_token"),
            300.0 if delay is None else delay,
        )
    entry = cluster.inventory.mirror
    if entry is None:
        raise CannotProve(
            "the inventory names no git mirror",
            where=f"cluster {cluster.name}",
            remedy="See docs/real-servers.md, `mirror`.",
        )
    return Site(entry, _read(entry.gitlab_token), _read(entry.destination_token), entry.delay)


def _secret(cluster: Cluster, service: str, name: str) -> str:
    return cluster.in_task(service, ["cat", f"/run/secrets/{name}"]).strip()


def _read(file: Path | None) -> str:
    return "" if file is None else file.read_text(encoding="utf-8").strip()


@contextlib.contextmanager
def api(cluster: Cluster, site: Site) -> Iterator[gitlab.Gitlab]:
    """Open GitLab's API, through ssh, as the administrator whose token it is.

    Raises `CutoverError` when no task of it runs, `gitlab.GitlabError` when it refuses.
    """
    entry = site.entry
    with (
        cluster.reach(entry.gitlab_service, entry.gitlab_port) as socket,
        session(entry.gitlab, socket) as http,
        gitlab.Gitlab(
            entry.gitlab,
            private_token=site.gitlab_token,
            session=http,
            timeout=API_SECONDS,
            keep_base_url=True,  # links in answers name whatever GitLab calls itself
        ) as client,
    ):
        yield client


@contextlib.contextmanager
def session(url: str, socket: Path) -> Iterator[requests.Session]:
    """Open a requests session in which what is below `url` goes through a Unix socket."""
    with requests.Session() as http:
        http.trust_env = False  # no proxy, no .netrc
        http.mount(url, _SocketAdapter(socket))
        yield http


class _SocketAdapter(HTTPAdapter):
    def __init__(self, socket: Path) -> None:
        self._pool = UnixHTTPConnectionPool("http://localhost", str(socket), timeout=API_SECONDS)
        super().__init__()

    def get_connection_with_tls_context(self, *_: object, **__: object) -> UnixHTTPConnectionPool:
        return self._pool

    def close(self) -> None:
        self._pool.close()
        super().close()
