"""Gherkin's data tables."""

from __future__ import annotations

import pytest

from fixtures.errors import CutoverError
from fixtures.tables import column, rows

TABLE = [["node", "label"], ["m1", "tier"], ["w1", "disk"]]


def test_rows_are_read_by_their_head() -> None:
    assert rows(TABLE, "node", "label") == [
        {"node": "m1", "label": "tier"},
        {"node": "w1", "label": "disk"},
    ]


def test_a_table_of_one_column_is_a_list() -> None:
    assert column([["service"], ["web"], ["db"]], "service") == ["web", "db"]


@pytest.mark.parametrize(
    ("table", "columns"),
    [
        (TABLE, ("node", "value")),
        (TABLE, ("label", "node")),
        (TABLE, ("node",)),
        ([["node", "label"]], ("node", "label")),
    ],
    ids=["another column", "another order", "a column too many", "no rows"],
)
def test_another_head_or_no_rows_is_refused_with_the_right_head(
    table: list[list[str]], columns: tuple[str, ...]
) -> None:
    with pytest.raises(CutoverError) as caught:
        rows(table, *columns)
    assert f"| {' | '.join(columns)} |" in caught.value.remedy


def test_a_wider_table_is_no_column() -> None:
    with pytest.raises(CutoverError):
        column(TABLE, "node")
