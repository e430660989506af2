"""The stand-ins behave as GitLab and GitHub do, and python-gitlab reads them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import gitlab
import pytest
import requests

from tests.unit import git_hosts
from tests.unit.git_hosts import GITHUB_TOKEN, Hosts
from verify.mirror import git_client, listing, restoring
from verify.mirror.changes import CHANGES, CLEAN, CLONE
from verify.mirror.projects import late_problems, listing_problems, mirror_problems
from verify.mirror.refs import Unread, parse
from verify.mirror.restoring import judge


@pytest.fixture(scope="module")
def hosts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hosts]:
    with git_hosts.standing(tmp_path_factory.mktemp("hosts")) as found:
        yield found


def test_without_a_token_nobody_is_told_anything(hosts: Hosts) -> None:
    assert requests.get(f"{hosts.gitlab_url}/api/v4/projects", timeout=5).status_code == 401
    refused = requests.post(f"{hosts.github_url}/orgs/org/repos", json={"name": "x"}, timeout=5)
    assert refused.status_code == 401
    with pytest.raises(AssertionError, match=r"could not read Username|Authentication failed"):
        hosts.run(f"git ls-remote {hosts.github_url}/org/nothing.git")


def test_a_repository_is_made_once(hosts: Hosts) -> None:
    assert [hosts.make_copy("once").status_code for _ in range(2)] == [201, 422]
    url = f"{hosts.github_url}/repos/org"
    headers = {"Authorization": f"Bearer {GITHUB_TOKEN}"}
    told = [requests.get(f"{url}/{n}", headers=headers, timeout=5) for n in ("once", "never")]
    assert [answer.status_code for answer in told] == [200, 404]


def test_a_new_mirror_is_not_updated_before_a_push_or_a_sync(hosts: Hosts) -> None:
    """The plan's script ends here: an idle project is never mirrored."""
    mirror = hosts.mirrored("new")
    assert mirror.update_status == "none"
    assert mirror.last_successful_update_at is None
    assert "*****:*****@127.0.0.1" in mirror.url
    assert GITHUB_TOKEN not in str(mirror.to_json())
    assert hosts.refs("$GH/new.git") == {}
    mirror.sync()
    done = hosts.wait(mirror, "finished")
    assert done.last_successful_update_at == done.last_update_at
    assert hosts.refs("$GH/new.git") == hosts.refs("$GL/new.git")


def test_every_push_arrives_and_what_was_not_merged_stays(hosts: Hosts) -> None:
    hosts.mirrored("all")
    hosts.run(
        "cd all && git push -q origin main:merged && git switch -q -c work"
        " && git commit -q --allow-empty -m w && git tag -a -m t v1 && git push -q origin work v1"
    )
    hosts.await_same("all")
    hosts.run("cd all && git commit -q --amend --allow-empty -m w2 && git push -q -f origin work")
    hosts.await_same("all")
    hosts.run("cd all && git push -q origin :merged")
    hosts.await_same("all")
    kept = hosts.refs("$GH/all.git")["refs/heads/work"]
    hosts.run("cd all && git push -q origin :work && git push -q origin main:again")
    hosts.client.projects.get("wizardsofts/all").remote_mirrors.list(get_all=True)[0].sync()

    def look() -> Any:
        copy = hosts.refs("$GH/all.git")
        return ("refs/heads/again" in copy and copy) or git_hosts.Pending("not yet")

    copy = git_hosts.eventually(look, within=30, what="the next push")
    assert copy["refs/heads/work"] == kept


def test_only_protected_branches_and_all_tags(hosts: Hosts) -> None:
    mirror = hosts.mirrored("protected", only_protected_branches=True)
    hosts.run(
        "cd protected && git push -q origin main:other && git push -q origin main:refs/tags/t"
    )
    hosts.wait(mirror, "finished")
    git_hosts.eventually(
        lambda: "refs/tags/t" in hosts.refs("$GH/protected.git") or git_hosts.Pending("no tag"),
        within=30,
        what="the tag",
    )
    assert set(hosts.refs("$GH/protected.git")) == {"refs/heads/main", "refs/tags/t"}


def test_divergent_refs_are_kept_and_the_update_is_called_failed(hosts: Hosts) -> None:
    mirror = hosts.mirrored("divergent", keep_divergent_refs=True)
    hosts.run(
        "cd divergent && git commit -q --allow-empty -m theirs"
        " && git push -q $GH/divergent.git main && git reset -q --hard HEAD^"
        " && git commit -q --allow-empty -m ours"
        " && git push -q origin main"
    )
    failed = hosts.wait(mirror, "failed")
    assert "have diverged" in failed.last_error
    assert "refs/heads/main" in failed.last_error


def test_a_refusal_is_tried_four_times_and_then_told(hosts: Hosts) -> None:
    mirror = hosts.mirrored("refused")
    mirror.sync()
    good = hosts.wait(mirror, "finished")
    hook = "github/org/refused.git/hooks/pre-receive"
    hosts.run(f"mkdir -p $(dirname {hook}) && printf '#!/bin/sh\\necho no >&2; exit 1' >{hook}")
    hosts.run(
        f"chmod 755 {hook} && cd refused && git commit -q --allow-empty -m x"
        " && git push -q origin main"
    )
    failed = hosts.wait(mirror, "failed")
    assert "pre-receive hook declined" in failed.last_error
    assert failed.last_successful_update_at == good.last_successful_update_at
    assert failed.last_update_at > failed.last_successful_update_at
    project = listing.of_project(hosts.client, "wizardsofts/refused")
    (told,) = late_problems([project], max(project.pushes), timedelta(days=1))
    assert told.startswith("wizardsofts/refused: failed, last success 20")
    hosts.run(f"rm {hook}")
    mirror.sync()
    assert hosts.wait(mirror, "finished").last_error is None


def test_no_token_is_written_down(hosts: Hosts) -> None:
    hosts.mirrored("secret")
    with sqlite3.connect(hosts.folder / "gitlab/gitlab.db") as db:
        found = db.execute("SELECT * FROM mirrors").fetchall()
    assert found
    assert GITHUB_TOKEN not in str(found)


def test_refs_are_read_of_many_at_once(hosts: Hosts) -> None:
    hosts.mirrored("listed")
    hosts.make_copy("bare")
    names = [f"{hosts.gitlab_url}/wizardsofts/listed.git"]
    names += [f"{hosts.github_url}/org/{name}.git" for name in ("bare", "nobody")]
    output = hosts.in_cluster(git_client.LIST_REFS, data="".join(f"{n}\n" for n in names))
    found = parse(output)
    assert set(found) == set(names)
    assert found[names[0]] == hosts.refs("$GL/listed.git")
    assert found[names[1]] == {}
    assert isinstance(found[names[2]], Unread)
    assert "not found" in found[names[2]]


def test_each_change_of_the_feature_arrives(hosts: Hosts) -> None:
    hosts.mirrored("changed")
    url = f"{hosts.gitlab_url}/wizardsofts/changed.git"
    for script in CHANGES.values():
        hosts.in_cluster(CLONE + script, url, "abc")
        hosts.await_same("changed")
    assert set(hosts.refs("$GH/changed.git")) == {
        "refs/heads/main",
        "refs/heads/cutover-probe-abc",
        "refs/tags/cutover-probe-abc",
    }
    copy = f"{hosts.github_url}/org/changed.git"
    hosts.in_cluster(CLEAN, url, "abc", copy)
    assert set(hosts.refs("$GH/changed.git")) == {"refs/heads/main"}
    assert hosts.in_cluster(CLEAN, url, "abc", copy) == ""


def test_a_clone_of_the_mirror_and_one_that_lost_an_object(hosts: Hosts) -> None:
    mirror = hosts.mirrored("whole")
    hosts.run("cd whole && echo x >f && git add f && git commit -q -m f && git push -q origin main")
    hosts.wait(mirror, "finished")
    hosts.await_same("whole")
    urls = f"{hosts.github_url}/org/whole.git", f"{hosts.gitlab_url}/wizardsofts/whole.git"
    good = judge("w/whole", hosts.in_cluster(restoring.SCRIPT, *urls))
    assert good.problems == []
    assert good.objects == 5  # two commits, an empty tree and one with a file, the file
    lost = hosts.run("cd whole && git rev-parse main:f").strip()
    hosts.run(f"rm -f github/org/whole.git/objects/{lost[:2]}/{lost[2:]}")
    bad = judge("w/whole", hosts.in_cluster(restoring.SCRIPT, *urls))
    assert "it cannot be cloned" in bad.problems[0]
    assert len(bad.problems) == 3


@pytest.fixture
def many(hosts: Hosts) -> Hosts:
    hosts.modules["gitlab_admin"].seed(102, "first")
    return hosts


def test_more_than_a_page_of_projects(many: Hosts, monkeypatch: pytest.MonkeyPatch) -> None:
    """The plan's `per_page=100` reads one page, and lists the newest first: the oldest are lost."""
    plan = many.client.projects.list(per_page=100, get_all=False)
    assert len(plan) == 100
    found = listing.read(many.client)
    assert len(found.projects) > 101
    assert listing_problems(found.by_page, found.by_id, found.total) == []
    lost = {p.id for p in found.projects} - {int(p.id) for p in plan}
    assert 1 in lost
    (first, *_) = [p for p in found.projects if p.path.endswith("/project-101")]
    assert f"{first.path}: no mirror" in mirror_problems(found.projects, many.github_url)

    handler = many.modules["gitlab_api"].GitLab
    answer = handler.answer

    def one_page(self: Any, status: int, content: Any = None, headers: Any = None) -> None:
        kept = {name: value for name, value in (headers or {}).items() if name != "Link"}
        answer(self, status, content, kept)

    monkeypatch.setattr(handler, "answer", one_page)
    broken = listing.read(many.client)
    (told,) = listing_problems(broken.by_page, broken.by_id, broken.total)
    assert told.startswith(f"the pages lack {len(found.projects) - 100} projects")


def test_time_can_pass(many: Hosts) -> None:
    before = listing.of_project(many.client, "wizardsofts/first").pushes
    many.modules["gitlab_admin"].age("first", 30)
    after = listing.of_project(many.client, "wizardsofts/first").pushes
    assert before
    assert [at - timedelta(days=30) for at in before] == list(after)


def test_a_token_that_is_no_administrator_s_proves_nothing(
    hosts: Hosts, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gitlab.Gitlab, "auth", lambda self: setattr(self, "user", object()))
    with pytest.raises(listing.CannotProve, match="not an administrator's"):
        listing.read(hosts.client)
