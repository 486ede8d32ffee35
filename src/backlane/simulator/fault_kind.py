"""What a kind of fault is: its meaning, the calls it meets, what it takes. It lists none."""

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Kind:
    """A fault's meaning. One call meets at most one fault of each slot, in the order they were added."""

    description: str
    # Calls it meets when the order names none.
    calls: frozenset[str]
    slot: str
    parameters: Mapping[str, str] = field(default_factory=dict[str, str])
    # It waits for a call on a run that has ended.
    needs_ended: bool = False
    # It waits for a stream that is taken up again by `starting_after`.
    needs_cursor: bool = False
