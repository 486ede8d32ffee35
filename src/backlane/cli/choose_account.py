"""`--account NAME`: the provider account that a command is about."""

from typing import TYPE_CHECKING

from backlane.errors import SettingsError

if TYPE_CHECKING:
    from backlane.provider.accounts import AccountBook


def chosen_account(book: "AccountBook", asked: str | None) -> str:
    """The account of this name; without one `default`, or the first there is. Raises SettingsError."""
    usable = [name for name, one in book.accounts.items() if one.api_key]
    name = asked or ("default" if "default" in usable else next(iter(usable), ""))
    if name not in usable:
        known = ", ".join(usable) or "none; set OPENAI_API_KEY or BACKLANE_ACCOUNTS_FILE"
        raise SettingsError(f"--account: there is no account {name!r} with a key; known: {known}")
    return name
