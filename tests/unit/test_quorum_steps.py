"""What is taken away from a twin only."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from fixtures.errors import CannotProve
from steps import quorum


def test_a_majority_of_production_s_managers_is_never_taken_away() -> None:
    cluster: Any = SimpleNamespace(is_twin=False, name="prod", managers=["m1", "m2", "m3"])
    with pytest.raises(CannotProve, match="majority"):
        quorum.may_be_lost(cluster)
    assert quorum.may_be_lost(SimpleNamespace(is_twin=True)).quorum_may_be_lost  # type: ignore[arg-type]
