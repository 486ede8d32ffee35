"""The provider accounts of a service, and which one takes the new runs of a workspace."""

from collections.abc import Mapping, Sequence

from backlane.core.accounts import AccountInfo
from backlane.errors import SettingsError
from backlane.provider.calling import Account
from backlane.provider.regions import GLOBAL, region_of

DEFAULT = "default"


class AccountBook:
    """Implements the Accounts protocol.

    `workspaces` names the account of each workspace that has one of its own; every other workspace uses
    `default`, or the only account there is. `simulated` is the mark of `default` where nobody set its key.
    """

    def __init__(
        self,
        accounts: Mapping[str, Account],
        workspaces: Mapping[str, str] | None = None,
        *,
        simulated: bool = False,
    ) -> None:
        self.accounts = dict(accounts)
        self.workspaces = dict(workspaces or {})
        self._infos = {name: _info(name, account) for name, account in self.accounts.items()}
        in_use = [info for info in self._infos.values() if not info.retired]
        common = self._infos.get(DEFAULT)
        self._common = None if common is not None and common.retired else common
        if DEFAULT not in self._infos and len(in_use) == 1:
            self._common = in_use[0]
        if not self._infos:
            self._common = AccountInfo(DEFAULT, simulated=simulated)

    def of(self, workspace: str) -> AccountInfo | None:
        """The account that takes new runs of the workspace of this name; None if none does."""
        name = self.workspaces.get(workspace)
        return self._common if name is None else self._infos[name]

    def get(self, name: str) -> AccountInfo | None:
        """The account of this name, retired or not; None if it is not (any more) in the settings."""
        return self._infos.get(name)

    def all(self) -> Sequence[AccountInfo]:
        """Every account of the settings."""
        return list(self._infos.values())


def _info(name: str, account: Account) -> AccountInfo:
    own = region_of(account.base_url)
    return AccountInfo(
        name,
        simulated=account.simulated,
        background=account.background,
        retired=account.retired,
        region=account.region or (own if own != GLOBAL else None),
        region_enforced=account.region is None or own == account.region,
    )


def account_book(
    default: Account | None,
    file: tuple[Mapping[str, Account], Mapping[str, str]] | None,
    *,
    simulated: bool = False,
) -> AccountBook:
    """The account of the environment beside those of the file. Raises SettingsError if both make `default`."""
    accounts, workspaces = file or ({}, {})
    if default is not None and DEFAULT in accounts:
        raise SettingsError(
            "BACKLANE_ACCOUNTS_FILE: [accounts.default]: OPENAI_API_KEY makes this account already; "
            "unset it, or rename the table"
        )
    whole = dict(accounts) if default is None else {DEFAULT: default, **accounts}
    return AccountBook(whole, workspaces, simulated=simulated)
