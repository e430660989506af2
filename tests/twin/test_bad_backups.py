"""What must not pass as a backup: each is made by hand in a store of its own, and seen through."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime, timedelta

import pytest

from fixtures.cluster.cluster import Cluster, Node
from fixtures.waiting import Pending, eventually
from tests.twin import backups_by_hand as hand
from verify.backups import coverage, newest, places, postgres, retention, subjects
from verify.backups.comparing import Comparison
from verify.backups.isolated import isolated
from verify.backups.names import Backup, Tier, parse, tier_path
from verify.backups.observed import Watched
from verify.backups.retention import Rule
from verify.backups.seed import SCHEMA
from verify.backups.store import NothingThere, Store
from verify.backups.subjects import PostgresSubject, RedisSubject, VolumesSubject, compared
from verify.replication import connected, server_of

FOLDER = "/mnt/data/cutover-sabotage"
VOLUMES = ("cutover-sabotage-a", "cutover-sabotage-b")
PERIOD = 1.0


@dataclass
class Site:
    """Three sources with data, a mark written in each, and a good backup of each begun after it."""

    store: Store
    elsewhere: Node
    database: Watched
    keys: Watched
    files: Watched

    @property
    def image(self) -> str:
        assert isinstance(self.files.subject, VolumesSubject)
        return self.files.subject.source.image

    def run(self, command: str) -> str:
        return self.store.node.run(f"cd {FOLDER} && {command}", timeout=60).stdout

    def problems(self, watched: Watched, backup: Backup) -> str:
        """What the look finds wrong with a backup in the place of the good one."""
        watched.backup = backup
        return "; ".join(watched.look(self.store, node=self.elsewhere))

    def restored(self, watched: Watched, backup: Backup) -> str:
        """What a restore of it finds."""
        watched.backup = backup
        return "; ".join(watched.restore(self.store, node=self.elsewhere).problems)


def pass_seconds(store: Store, since: datetime) -> None:
    """Names and a dump's own date are to the second: let an old one be told from a new one."""
    eventually(
        lambda: store.now() > since + timedelta(seconds=3) or Pending("the same seconds"),
        within=10,
        what="seconds that tell an old name from a new one",
    )


@pytest.fixture(scope="module")
def site(cluster: Cluster) -> Iterator[Site]:
    node = places.data_node(cluster)
    store = Store(node, FOLDER)
    with ExitStack() as stack:
        make = " && ".join(f"docker volume create {name} >/dev/null" for name in VOLUMES)
        node.run(f"rm -rf {FOLDER} && mkdir -p {FOLDER} && {make}", timeout=60)
        stack.callback(node.run, f"docker volume rm --force {' '.join(VOLUMES)}", timeout=60)
        stack.callback(node.run, f"rm -rf {FOLDER}", timeout=60)
        made = (
            subjects.database(cluster, "gibd-postgres", "gibd"),
            subjects.keys(cluster, "gibd-redis"),
            subjects.trees(cluster, node, VOLUMES, like="gibd-postgres"),
        )
        watched = []
        for subject in made:
            stack.callback(subject.unseed)
            subject.seed()
            watched.append(Watched(subject, store, PERIOD))
            stack.callback(watched[-1].end)
        site = Site(store, subjects.another_node(cluster, made[0]), *watched)
        pass_seconds(store, hand.rdb(cluster, store).taken)  # before the mark: an old one
        for each in watched:
            each.begin()
        pass_seconds(store, max(each.since for each in watched if each.since))
        hand.globals_(cluster, store)
        good = (
            hand.dump(cluster, store),
            hand.rdb(cluster, store),
            hand.volumes(store, VOLUMES, site.image),
        )
        for each, backup in zip(watched, good, strict=True):
            each.backup = backup
            each.after = each.subject.fingerprint()
        yield site


@pytest.fixture
def copy(site: Site) -> Iterator[Callable[[Watched, str], Backup]]:
    """Return what makes a bad copy of a good backup: by a filter, under a name a second older."""
    made: list[Backup] = []
    good = {id(w): w.backup for w in (site.database, site.keys, site.files)}

    def change(watched: Watched, by: str) -> Backup:
        source = good[id(watched)]
        assert source is not None
        stamp = f"{source.taken:%S}"
        second = f"{source.taken - timedelta(seconds=1):%S}"
        folder, name = source.path.rsplit("/", 1)
        path = f"{folder}/{second.join(name.rsplit(stamp, 1))}"
        backup = parse(path)
        assert backup is not None
        made.append(backup)
        site.run(f"{by} <{shlex.quote(source.path)} >{shlex.quote(path)}")
        return backup

    yield change
    for watched in (site.database, site.keys, site.files):
        watched.backup = good[id(watched)]
    for backup in made:
        site.run(f"rm -f {shlex.quote(backup.path)}")


def test_the_good_ones_pass(site: Site) -> None:
    for watched in (site.database, site.keys, site.files):
        assert watched.look(site.store, node=site.elsewhere) == []
        found = watched.restore(site.store, node=site.elsewhere)
        assert found.problems == []
        assert found.compared.total() > 20


Copy = Callable[[Watched, str], Backup]
FLIP = (
    "{ f=$(mktemp); cat >$f; printf '\\377\\000\\377' | dd of=$f bs=1 conv=notrunc status=none"
    " seek=$(($(stat -c %s $f)/2)); cat $f; rm $f; }"
)


def test_a_truncated_dump(site: Site, copy: Copy) -> None:
    bad = copy(site.database, "head -c 20000")
    assert "unexpected end of file" in site.problems(site.database, bad)
    assert "no end marker" in site.problems(site.database, bad)
    assert "unexpected end of file" in site.restored(site.database, bad)


def test_a_dump_that_was_cut_before_it_was_compressed(site: Site, copy: Copy) -> None:
    bad = copy(site.database, "{ gzip -dc | head -c 100000 | gzip; }")
    assert "no end marker" in site.problems(site.database, bad)
    assert "the restored has none" in site.restored(site.database, bad)


def test_a_bit_flipped_dump(site: Site, copy: Copy) -> None:
    bad = copy(site.database, FLIP)
    assert "cannot be read" in site.problems(site.database, bad)
    assert "gzip" in site.restored(site.database, bad)


def test_a_dump_of_changed_rows_is_only_seen_by_its_restore(site: Site, copy: Copy) -> None:
    bad = copy(site.database, "{ gzip -dc | sed 's/\\tcustomer 7\\t/\\tcustomer x\\t/' | gzip; }")
    assert site.problems(site.database, bad) == ""
    assert f"checksum of {SCHEMA}.customers" in site.restored(site.database, bad)


def test_a_dump_of_the_wrong_database(cluster: Cluster, site: Site, copy: Copy) -> None:
    wrong = hand.dump(cluster, site.store, database="postgres", as_="gibd")
    try:
        assert "it holds no table" in site.problems(site.database, wrong)
        assert f"rows of {SCHEMA}.orders: the restored has none" in site.restored(
            site.database, wrong
        )
    finally:
        site.run(f"rm -f {wrong.path}")


def test_a_restore_that_succeeds_with_one_table_empty(site: Site, copy: Copy) -> None:
    empty = f"{{ gzip -dc | sed '/^COPY {SCHEMA}.orders /,/^\\\\\\.$/d' | gzip; }}"
    bad = copy(site.database, empty)
    assert f"rows of {SCHEMA}.orders: 0 where the source has 5000" in site.restored(
        site.database, bad
    )


def test_a_newest_copy_that_lacks_a_table_is_not_saved_by_the_older(site: Site, copy: Copy) -> None:
    """Without a mark: as a server's newest copies are restored."""
    good = site.database.found()
    dropped = f"{{ gzip -dc | sed '/^COPY {SCHEMA}.orders /,/^\\\\\\.$/d' | gzip; }}"
    bad = copy(site.database, dropped)
    # One that was written just now is left out: it may not be finished.
    site.run(f"mv {good.path} {good.path}.hidden && touch -d '1 minute ago' {bad.path}")
    try:
        found = newest.restored(site.database.subject, site.store, site.elsewhere, period=PERIOD)
    finally:
        site.run(f"mv {good.path}.hidden {good.path}")
    assert f"{bad.path}: the table {SCHEMA}.orders is empty in it" in found.problems


def test_the_plan_s_dump_without_roles(site: Site) -> None:
    """The plan's image saves none: what belongs to an application's role is not restored."""
    assert isinstance(site.database.subject, PostgresSubject)
    source = site.database.subject.source
    dump = site.database.found()
    with postgres.restored(
        site.store, dump, None, node=site.elsewhere, spec=source.spec()
    ) as restored:
        assert f'role "{SCHEMA}" does not exist' in "; ".join(restored.complaints)


def test_an_empty_file(site: Site, copy: Copy) -> None:
    """A job that died with a full disk, or whose output went elsewhere."""
    for watched in (site.database, site.keys, site.files):
        bad = copy(watched, "head -c 0")
        assert site.problems(watched, bad) != ""


def test_a_job_that_exits_0_and_wrote_nothing(site: Site) -> None:
    late = Watched(site.database.subject, site.store, PERIOD)
    late.since = site.store.now()
    took = late.wait(site.store, periods=2)
    assert took.seconds > 2
    assert "no postgres backup" in took.reason


PLAN = (
    "redis-cli -h 127.0.0.1 BGSAVE && cp /data/dump.rdb /backups/redis-$(date +%Y%m%d-%H%M%S).rdb"
)


def by_the_plan(cluster: Cluster, site: Site, data: str) -> list[Backup]:
    """Run the plan's own Redis job once; `data` is what its /data happens to be."""
    container = hand.container_on(cluster, hand.REDIS, site.store)
    image = site.run(f"docker inspect --format '{{{{.Image}}}}' {container}").strip()
    before = site.store.backups(site.keys.subject.kind)
    run = (
        f"docker run --rm --network container:{container} {data}"
        f" --volume {FOLDER}/redis:/backups --entrypoint sh {image} -c {shlex.quote(PLAN)}; true"
    )
    site.run(run)
    return [b for b in site.store.backups(site.keys.subject.kind) if b not in before]


def test_the_plan_s_redis_job_copies_a_file_that_it_never_mounts(
    cluster: Cluster, site: Site
) -> None:
    assert by_the_plan(cluster, site, "") == []


def test_the_plan_s_redis_job_copies_yesterday_s_dump_anew(
    cluster: Cluster, site: Site, copy: Copy
) -> None:
    """As it does when /data holds any dump: under a new name, and valid in itself."""
    old = site.store.backups(site.keys.subject.kind)[0].path
    (new,) = by_the_plan(cluster, site, f"--volume {FOLDER}/{old}:/data/dump.rdb:ro")
    try:
        assert "before it was begun" in site.problems(site.keys, new)
        assert "the restored has none" in site.restored(site.keys, new)
        age = site.keys.age(site.store, node=site.elsewhere)
        assert age.periods > 2
        assert "it lacks a key that was written before it began" in age.reason
    finally:
        site.run(f"rm -f {new.path}")


def test_a_truncated_redis_dump(site: Site, copy: Copy) -> None:
    bad = copy(site.keys, "head -c 200")
    assert site.problems(site.keys, bad) != ""
    assert "does not start" in site.restored(site.keys, bad)


def test_backups_older_than_the_schedule(site: Site) -> None:
    """`latest` links to the newest and its mtime is now: neither makes it younger."""
    dump = site.database.found().path
    site.run(f"touch {dump} && ln -sf $(basename {dump}) postgres/last/gibd-latest.sql.gz")
    age = site.database.age(site.store, node=site.elsewhere)
    assert age.periods > 2


def test_retention_that_deleted_the_only_monthly_copy(site: Site) -> None:
    today = site.store.now().date()
    last = site.database.found().path
    for tier in Tier:
        path = tier_path(tier, "gibd", today)
        site.run(f"mkdir -p postgres/{tier} && ln -f {last} {path}")
    rule = Rule(7, 4, 6)

    def problems() -> list[str]:
        paths = [entry.path for entry in site.store.entries()]
        return retention.problems_since_first(paths, "gibd", rule, today=today)[0]

    assert problems() == []
    site.run(f"rm {tier_path(Tier.MONTHLY, 'gibd', today)}")
    assert problems() == [f"no monthly copy of {today:%Y-%m}"]


def test_a_remote_copy_that_is_a_link_to_nothing(site: Site) -> None:
    site.run("ln -sfn snapshots/20260101-000000 latest")
    try:
        with pytest.raises(NothingThere):
            Store(site.store.node, f"{FOLDER}/latest").entries()
    finally:
        site.run("rm latest")


def test_the_plan_s_mirror_of_an_emptied_folder(site: Site) -> None:
    """`rsync --delete`, as the plan's remote job runs it, once well and once after the damage."""
    mirror = Store(site.store.node, f"{FOLDER}-mirror")
    mirrored = f"rsync -a --delete {{}}/ {mirror.path}/"
    try:
        site.run(mirrored.format(FOLDER))
        found, _ = site.database.intact_copy([mirror], node=site.elsewhere)
        assert found is mirror
        site.run(f"mkdir -p emptied && {mirrored.format(f'{FOLDER}/emptied')}")
        found, problems = site.database.intact_copy([mirror], node=site.elsewhere)
        assert found is None
        assert "cannot be read" in "; ".join(problems)
    finally:
        site.run(f"rm -rf {mirror.path} emptied")


@pytest.mark.parametrize(
    ("option", "told"),
    [
        ("--owner=0 --group=0", "owner of"),
        ("--mode=a+rX", "mode of"),
        ("--mtime=@1000000000", "mtime of"),
        ("--dereference", "type of"),
        ("--exclude=secret", "the restored has none"),
    ],
)
def test_an_archive_that_lost_something_of_its_files(
    site: Site, copy: Copy, option: str, told: str
) -> None:
    again = (
        "{ d=$(mktemp -d); tar -xzp -C $d; chmod 755 $d;"
        f" tar -czf - --ignore-failed-read {option} -C $d backup 2>/dev/null; rm -rf $d; }}"
    )
    bad = copy(site.files, again)
    assert told in site.restored(site.files, bad)


def test_an_instance_that_nobody_removes_ends_by_itself(site: Site) -> None:
    """As when the harness is killed while it restores: its volume goes too."""
    node = site.elsewhere
    count = "docker volume ls --quiet | wc -l"
    before = node.run(count).stdout
    with isolated(node, site.image, ("sleep", "infinity"), lifetime=2) as container:
        look = f"docker ps --all --quiet --filter name={container.name}"
        assert node.run(look).stdout != ""
        eventually(
            lambda: node.run(look).stdout == "" or Pending("it is there"),
            within=30,
            what="the instance's own end",
        )
        assert node.run(count).stdout == before


def test_keys_that_lost_their_expiry(site: Site) -> None:
    assert isinstance(site.keys.subject, RedisSubject)
    with site.keys.subject.restored(site.store, site.keys.found(), node=site.elsewhere) as restored:
        container = restored.container  # type: ignore[attr-defined]
        container.run("redis-cli", "PERSIST", "cutover:shop:expires")
        found: Comparison = compared(
            site.keys.subject, site.keys.before, site.keys.after, restored, site.store.now()
        )
    (problem,) = found.problems
    assert problem.startswith("expiry in ms of 0:cutover:shop:expires: -1 where")


def test_a_database_that_no_job_knows(cluster: Cluster, site: Site) -> None:
    with connected(cluster, server_of(cluster.snapshot(), "gibd-postgres")) as connection:
        connection.execute("create database cutover_forgotten")
        try:
            databases = coverage.databases_of(cluster, "gibd-postgres")
        finally:
            connection.execute("drop database cutover_forgotten")
    newest = coverage.newest_of(site.store, databases)
    found = coverage.forgotten(newest, site.store.now(), 3600)
    assert found == ["the database cutover_forgotten has no backup"]
