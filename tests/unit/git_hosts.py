"""The stand-ins for GitLab and GitHub, on the loopback of this machine, with real git."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import gitlab
import pytest
import requests

from fixtures.cluster.inventory import GitMirror
from fixtures.images.recipes import FOLDER
from fixtures.waiting import Pending, eventually
from verify.mirror import git_client
from verify.mirror.site import Site

APP = FOLDER / "git" / "app"
_MODULES = (
    "smart_http",
    "gitlab_store",
    "gitlab_api",
    "gitlab_workhorse",
    "gitlab_sidekiq",
    "gitlab_admin",
    "github",
)
GITLAB_TOKEN, GITHUB_TOKEN = "glpat-test", "ghp-test"
DELAY = 0.2


@dataclass
class Hosts:
    """Both hosts; `client` is python-gitlab's."""

    client: gitlab.Gitlab
    gitlab_url: str
    github_url: str
    folder: Path
    modules: dict[str, ModuleType]

    def run(self, command: str) -> str:
        """Run a shell command in a folder of the test's own, with git."""
        done = subprocess.run(
            ["sh", "-ec", command],
            cwd=self.folder,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={
                **os.environ,
                "GIT_TERMINAL_PROMPT": "0",
                "GIT_CONFIG_NOSYSTEM": "1",
                "HOME": str(self.folder),
                "GL": f"{self.gitlab_url.replace('://', f'://x:{GITLAB_TOKEN}@')}/wizardsofts",
                "GH": f"{self.github_url.replace('://', f'://x:{GITHUB_TOKEN}@')}/org",
            },
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def in_cluster(self, script: str, *arguments: str, data: str = "") -> str:
        """Run a script as `verify.mirror.git_client` does, here; returns its output."""
        entry = GitMirror(
            gitlab=self.gitlab_url,
            gitlab_service="",
            destination=f"{self.github_url}/org",
            git_in="",
        )
        site = Site(entry, GITLAB_TOKEN, GITHUB_TOKEN)
        done = subprocess.run(
            ["sh", "-ec", git_client.PRELUDE + script, "_", *arguments],
            input=f"{site.git_config()}.\n{data}",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def make_copy(self, name: str) -> requests.Response:
        """Make the mirror's repository, as the plan's script does."""
        return requests.post(
            f"{self.github_url}/orgs/org/repos",
            json={"name": name, "private": True},
            headers={"Authorization": f"token {GITHUB_TOKEN}"},
            timeout=10,
        )

    def mirrored(self, name: str, **settings: Any) -> Any:
        """Make a project with a main branch and a mirror; returns the mirror."""
        project = self.client.projects.create({"name": name})
        self.make_copy(name)
        self.run(
            f"git init -q -b main {name} && cd {name} && git config user.name t"
            " && git config user.email t@t && git commit -q --allow-empty -m first"
            f" && git remote add origin $GL/{name}.git && git push -q origin main"
        )
        url = f"{self.github_url.replace('://', f'://oauth2:{GITHUB_TOKEN}@')}/org/{name}.git"
        wanted = {"url": url, "enabled": True, **settings}
        return project.remote_mirrors.create(wanted)

    def refs(self, url: str) -> dict[str, str]:
        """Branches and tags at `url`, which may hold $GL or $GH."""
        lines = self.run(f"git ls-remote --refs {url}").splitlines()
        return {name: at for at, name in (line.split("\t") for line in lines)}

    def wait(self, mirror: Any, status: str) -> Any:
        """Wait for the mirror's state; returns it read again."""
        project = self.client.projects.get(mirror.project_id)

        def look() -> Any:
            (found,) = project.remote_mirrors.list(get_all=True)
            if found.update_status == status:
                return found
            return Pending(f"{found.update_status}: {found.last_error}")

        return eventually(look, within=30, every=0.1, what=f"the mirror is {status}")

    def await_same(self, name: str) -> None:
        """Wait until the mirror's refs are those of the project."""

        def look() -> bool | Pending:
            source, copy = self.refs(f"$GL/{name}.git"), self.refs(f"$GH/{name}.git")
            return source == copy or Pending(f"{source} and {copy}")

        eventually(look, within=30, every=0.2, what="both have the same")


@contextlib.contextmanager
def standing(folder: Path) -> Iterator[Hosts]:
    """Start all parts in this process; they end with it."""
    with pytest.MonkeyPatch.context() as patch:
        (folder / "secrets").mkdir()
        (folder / "secrets/gitlab_token").write_text(GITLAB_TOKEN)
        (folder / "secrets/github_token").write_text(GITHUB_TOKEN)
        (folder / "github").mkdir()
        for name, value in {
            "SECRETS": folder / "secrets",
            "GITLAB_DATA": folder / "gitlab",
            "GITHUB_DATA": folder / "github",
            "SIDEKIQ_ALIVE": folder / "alive",
            "GITLAB_MIRROR_DELAY": DELAY,
        }.items():
            patch.setenv(name, str(value))
        patch.syspath_prepend(str(APP))
        modules = {name: importlib.import_module(name) for name in _MODULES}
        server = modules["smart_http"].Server
        servers = [
            server(("127.0.0.1", 0), handler)
            for handler in (
                modules["gitlab_api"].GitLab,
                modules["gitlab_workhorse"].Workhorse,
                modules["github"].GitHub,
            )
        ]
        urls = [f"http://127.0.0.1:{one.server_address[1]}" for one in servers]
        patch.setattr(modules["gitlab_api"], "EXTERNAL_URL", urls[1])
        patch.setattr(modules["gitlab_workhorse"], "BACKEND", urls[0].removeprefix("http://"))
        stop = threading.Event()
        jobs = threading.Thread(target=modules["gitlab_sidekiq"].run, args=(stop,), daemon=True)
        jobs.start()
        for one in servers:
            threading.Thread(target=one.serve_forever, args=(0.05,), daemon=True).start()
        with gitlab.Gitlab(urls[1], private_token=GITLAB_TOKEN) as client:
            yield Hosts(client, urls[1], urls[2], folder, modules)
        stop.set()
        jobs.join(10)
        for one in servers:
            one.shutdown()
            one.server_close()
        for name in _MODULES:
            sys.modules.pop(name, None)
