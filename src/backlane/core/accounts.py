"""The provider accounts as the services know them: everything but their keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One provider account.

    `retired`: it takes no new runs. `background`: its server has background mode, and windows with it.
    `region`: where its data stays; `region_enforced` is False where that is only said, because its server is
    not one of the provider's own and nobody here knows where it stands.
    """

    name: str
    simulated: bool = False
    background: bool = True
    retired: bool = False
    region: str | None = None
    region_enforced: bool = True


class Accounts(Protocol):
    """The provider accounts of the settings."""

    def of(self, workspace: str) -> AccountInfo | None:
        """The account that takes new runs of the workspace of this name; None if none does."""
        ...

    def get(self, name: str) -> AccountInfo | None:
        """The account of this name, retired or not; None if it is not (any more) in the settings."""
        ...

    def all(self) -> Sequence[AccountInfo]: ...
