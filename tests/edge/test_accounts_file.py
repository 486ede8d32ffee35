"""The settings file of provider accounts: what it says, and each mistake in one line that holds no key."""

from pathlib import Path
from typing import Any

import pytest

from backlane.errors import SettingsError
from backlane.provider.accounts import AccountBook, account_book
from backlane.provider.accounts_file import read_accounts_file
from backlane.provider.calling import Account
from backlane.wiring import read_accounts
from tests.conftest import settings_for

KEY = "sk-canary-eu-7f3a"
ENVIRONMENT = {"EU_KEY": KEY, "EU_HOOK": "whsec_Y2FuYXJ5", "BAD_KEY": "sk with spaces"}


def book(folder: Path, text: str, default: Account | None = None) -> AccountBook:
    path = folder / "accounts.toml"
    path.write_text(text)
    return account_book(default, read_accounts_file(str(path), ENVIRONMENT))


def test_an_account_is_read_whole_and_its_key_is_never_shown(tmp_path: Path) -> None:
    kept = tmp_path / "us.key"
    kept.write_text("sk-canary-us\n")
    kept.chmod(0o600)
    found = book(
        tmp_path,
        f"""
        [accounts.eu]
        key = "env:EU_KEY"
        base_url = "https://eu.example/v1"
        organization = "org_1"
        project = "proj_1"
        region = "eu"
        webhook_secrets = ["env:EU_HOOK"]
        workspaces = ["acme"]
        [accounts.us]
        key = "file:{kept}"
        background = false
        simulated = true
        [workspaces]
        beta = "us"
        """,
    )
    assert found.accounts["eu"] == Account(
        KEY,
        "https://eu.example/v1",
        "org_1",
        "proj_1",
        region="eu",
        webhook_secrets=("whsec_Y2FuYXJ5",),
    )
    assert found.accounts["us"].api_key == "sk-canary-us"
    shown = f"{found.accounts} {found.all()}"
    assert "canary" not in shown and "whsec" not in shown
    acme, beta = found.of("acme"), found.of("beta")
    assert acme is not None and (acme.name, acme.region, acme.background) == ("eu", "eu", True)
    assert beta is not None and (beta.name, beta.simulated, beta.background) == ("us", True, False)
    assert found.of("gamma") is None, "two accounts and no default: nobody guesses"


def test_every_other_workspace_uses_default_or_the_only_account(tmp_path: Path) -> None:
    one = book(tmp_path, '[accounts.eu]\nkey = "env:EU_KEY"')
    both = book(tmp_path, '[accounts.eu]\nkey = "env:EU_KEY"\nworkspaces = ["acme"]', Account("sk-own"))
    assert [getattr(found.of("gamma"), "name", None) for found in (one, both)] == ["eu", "default"]
    assert getattr(both.of("acme"), "name", None) == "eu"


def test_a_retired_account_is_known_and_takes_nothing_new(tmp_path: Path) -> None:
    old = '[accounts.old]\nkey = "env:EU_KEY"\nretired = true\nworkspaces = ["acme"]\n'
    found = book(tmp_path, old + '[accounts.new]\nkey = "env:EU_KEY"\nworkspaces = ["acme"]')
    assert getattr(found.of("acme"), "name", None) == "new"
    assert getattr(found.of("gamma"), "name", None) == "new"
    kept = found.get("old")
    assert kept is not None and kept.retired


MISTAKES: list[tuple[str, str, str]] = [
    ("accounts = 3", "[accounts]", "must be a table"),
    ("[other]", "[other]", "tables are accounts and workspaces"),
    ("[accounts.eu]\nkey = ", "", "is not TOML (at end of document"),
    (f"[accounts.eu]\nkey = {KEY}", "", "is not TOML (at line 2"),
    ("[accounts.EU]\nkey = 'env:EU_KEY'", "[accounts.EU]", "rename it"),
    ("[accounts.job-types]\nkey = 'env:EU_KEY'", "[accounts.job-types]", "rename it"),
    ("[accounts.eu]", "[accounts.eu] key", "is missing"),
    (f"[accounts.eu]\nkey = '{KEY}'", "[accounts.eu] key", "never the secret itself"),
    ("[accounts.eu]\nkey = 'env:NO_KEY'", "[accounts.eu] key", "variable NO_KEY is not set"),
    ("[accounts.eu]\nkey = 'env:BAD_KEY'", "[accounts.eu] key", "characters that no key has"),
    ("[accounts.eu]\nkey = 'file:{folder}/none'", "[accounts.eu] key", "cannot be read (No such file"),
    ("[accounts.eu]\nkey = 'file:{folder}/open'", "[accounts.eu] key", "chmod 600"),
    ("[accounts.eu]\nkey = 'file:{folder}/empty'", "[accounts.eu] key", "is empty"),
    ("[accounts.eu]\nkey = 7", "[accounts.eu] key", "must be a text"),
    ("[accounts.eu]\nkey = 'env:EU_KEY'\ncolour = 'red'", "[accounts.eu] colour", "is no field"),
    (
        "[accounts.eu]\nkey = 'env:EU_KEY'\nbase_url = 'eu.example'",
        "[accounts.eu] base_url",
        "https://host/v1",
    ),
    ("[accounts.eu]\nkey = 'env:EU_KEY'\nsimulated = 'yes'", "[accounts.eu] simulated", "true or false"),
    ("[accounts.eu]\nkey = 'env:EU_KEY'\nworkspaces = [1]", "[accounts.eu] workspaces", "a list of texts"),
    (
        "[accounts.a]\nkey = 'env:EU_KEY'\nworkspaces = ['x']\n[accounts.b]\nkey = 'env:EU_KEY'\nworkspaces = ['x']",
        "[accounts.b] workspaces",
        "has account 'a' already",
    ),
    ("[accounts.a]\nkey = 'env:EU_KEY'\n[workspaces]\nx = 'b'", "[workspaces] x", "known: a"),
    (
        "[accounts.a]\nkey = 'env:EU_KEY'\nretired = true\n[workspaces]\nx = 'a'",
        "[workspaces] x",
        "is retired",
    ),
    (
        "[accounts.a]\nkey = 'env:EU_KEY'\nretired = true\nworkspaces = ['x']",
        "[accounts.a] workspaces",
        "give it to another account",
    ),
    (
        "[accounts.a]\nkey = 'env:EU_KEY'\nwebhook_secrets = ['whsec_x']",
        "[accounts.a] webhook_secrets",
        "must be env:NAME",
    ),
]


@pytest.mark.parametrize(("text", "place", "mend"), MISTAKES)
def test_each_mistake_names_file_table_field_and_mend(
    tmp_path: Path, text: str, place: str, mend: str
) -> None:
    for name, content, mode in (("open", "sk-x", 0o644), ("empty", "", 0o600)):
        (tmp_path / name).write_text(content)
        (tmp_path / name).chmod(mode)
    with pytest.raises(SettingsError) as raised:
        book(tmp_path, text.replace("{folder}", str(tmp_path)))
    line = str(raised.value)
    assert line.startswith(f"BACKLANE_ACCOUNTS_FILE: {tmp_path}/accounts.toml")
    assert place in line and mend in line
    assert "\n" not in line and KEY not in line and "whsec_x" not in line


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"cannot be read \(No such file"):
        read_accounts_file(str(tmp_path / "accounts.toml"), {})


def test_the_environment_and_the_file_do_not_make_one_account_twice(
    tmp_path: Path, simulator: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EU_KEY", KEY)
    path = tmp_path / "accounts.toml"
    path.write_text('[accounts.default]\nkey = "env:EU_KEY"')
    with pytest.raises(SettingsError, match="OPENAI_API_KEY makes this account already"):
        read_accounts(settings_for(tmp_path, simulator, accounts_file=str(path)))
    alone = settings_for(tmp_path, simulator, accounts_file=str(path), openai_api_key=None)
    assert read_accounts(alone).accounts["default"].api_key == KEY
