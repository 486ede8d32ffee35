"""The provider accounts as the services know them: everything but their keys."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class AccountInfo:
    """One provider account.

    `retired`: it takes no new runs. `background`: its server has background mode, and windows with it.
    """

    name: str
    simulated: bool = False
    background: bool = True
    retired: bool = False
    region: str | None = None


class Accounts(Protocol):
    """The provider accounts of the settings."""

    def of(self, workspace: str) -> AccountInfo | None:
        """The account that takes new runs of the workspace of this name; None if none does."""
        ...

    def get(self, name: str) -> AccountInfo | None:
        """The account of this name, retired or not; None if it is not (any more) in the settings."""
        ...

    def all(self) -> Sequence[AccountInfo]: ...
