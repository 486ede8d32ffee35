"""Every table of the product: importing the rooms is what fills the metadata."""

from backlane.store import (
    people,
    tables,
    tables_actions,
    tables_budgets,
    tables_case,
    tables_lanes,
    tables_policy,
    tables_review,
    tables_wire,
)
from backlane.store.columns import metadata

__all__ = ["ROOMS", "metadata"]

ROOMS = (
    people,
    tables,
    tables_actions,
    tables_budgets,
    tables_case,
    tables_lanes,
    tables_policy,
    tables_review,
    tables_wire,
)
