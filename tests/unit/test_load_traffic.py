"""Traffic profiles: what a file must say, and what is said of one that does not."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import yaml

from fixtures.errors import CutoverError
from load.traffic import PROFILES, load_traffic, schedule, steady

GOOD: dict[str, Any] = {
    "name": "shop",
    "routes": [
        {"name": "front", "path": "/", "weight": 3, "text": "hello"},
        {"name": "item", "path": "/items?id=1", "key": "a.b", "value": "c"},
    ],
    "shapes": {"everyday": {"kind": "steady", "rate": 10, "seconds": 5}},
}


def written(tmp_path: Path, **changes: Any) -> Path:
    path = tmp_path / "shop.yml"
    path.write_text(yaml.safe_dump({**GOOD, **changes}))
    return path


@pytest.mark.parametrize("path", sorted(PROFILES.glob("*.yml")), ids=lambda path: path.stem)
def test_the_profiles_that_come_along_are_right(path: Path) -> None:
    if path.stem != "queries":
        assert load_traffic(path.stem).name == path.stem


def test_the_plans_profile_asks_every_service_and_shows_every_shape() -> None:
    traffic = load_traffic("services")
    values = {route.value for route in traffic.routes}
    assert {"ws-gateway", "ws-company", "ws-trades", "ws-news", "ws-discovery"} <= values
    kinds = {shape.kind for shape in traffic.shapes.values()}
    assert kinds == {"steady", "ramp", "spike", "soak", "step"}


def test_routes_are_asked_by_their_weight_and_the_same_for_the_same_seed(tmp_path: Path) -> None:
    traffic = load_traffic(written(tmp_path))
    mix = traffic.mix(4000, seed=5)
    assert mix == traffic.mix(4000, seed=5)
    assert mix != traffic.mix(4000, seed=6)
    assert Counter(mix)[0] == pytest.approx(3000, abs=150)


ROUTE = GOOD["routes"][0]
WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "no routes": ({"routes": []}, "routes: "),
    "no check": ({"routes": [{"name": "a", "path": "/"}]}, "route a has no content check"),
    "two of a name": ({"routes": [ROUTE, ROUTE]}, "two routes are called front"),
    "a path without /": ({"routes": [{**ROUTE, "path": "items"}]}, "routes.0.path"),
    "a path with a space": ({"routes": [{**ROUTE, "path": "/a b"}]}, "routes.0.path"),
    "an unknown method": ({"routes": [{**ROUTE, "method": "FETCH"}]}, "routes.0.method"),
    "no weight": ({"routes": [{**ROUTE, "weight": 0}]}, "routes.0.weight"),
    "a bad pattern": ({"routes": [{**ROUTE, "pattern": "("}]}, "pattern"),
    "an unknown field": ({"rate": 4}, "rate"),
    "no shapes": ({"shapes": {}}, "shapes"),
    "an unknown shape": ({"shapes": {"x": {"kind": "wave"}}}, "shapes.x"),
    "an endless timeout": ({"timeout": 1e9}, "timeout"),
    "an unknown loop": ({"loop": "ajar"}, "loop"),
    "thinking backwards": ({"think": {"least": 2, "most": 1}}, "think: most is below least"),
    "too many requests": (
        {"shapes": {"x": {"kind": "steady", "rate": 100000, "seconds": 86400}}},
        "are more than",
    ),
}


@pytest.mark.parametrize(("changes", "said"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_file_and_field(
    tmp_path: Path, changes: dict[str, Any], said: str
) -> None:
    path = written(tmp_path, **changes)
    with pytest.raises(CutoverError) as caught:
        load_traffic(path)
    assert said in str(caught.value)


def test_files_that_are_none_are_named(tmp_path: Path) -> None:
    with pytest.raises(CutoverError, match="cannot be read"):
        load_traffic(tmp_path / "nothing.yml")
    with pytest.raises(CutoverError, match=r"one of load/profiles/: .*services"):
        load_traffic("nothing")
    broken = tmp_path / "broken.yml"
    broken.write_text("a: [")
    with pytest.raises(CutoverError, match="is not YAML"):
        load_traffic(broken)
    broken.write_text("just text")
    with pytest.raises(CutoverError, match=r"broken\.yml"):
        load_traffic(broken)


def test_an_unknown_shape_is_answered_with_those_there_are(tmp_path: Path) -> None:
    traffic = load_traffic(written(tmp_path))
    with pytest.raises(CutoverError, match="It has: everyday"):
        traffic.shape("wave")
    assert traffic.shape() == traffic.shape("everyday")


def test_a_rate_of_nothing_is_refused() -> None:
    with pytest.raises(CutoverError, match="rate: "):
        steady(0, 10)
    assert schedule(steady(2, 10)).count == 20
