"""Reading the settings file of provider accounts. Keys are references into the environment or to a file.

Every mistake is one line that names the file, the table, the field and the mend; no line ever holds a key.
"""

import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn, cast

from backlane.errors import SettingsError
from backlane.provider.calling import Account, is_key, is_url
from backlane.provider.regions import regional_url

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_REGION = re.compile(r"[a-z][a-z0-9-]{0,31}")
# Alerts that are about no account stand under this name.
_TAKEN = "job-types"
_FIELDS: dict[str, type] = {
    "key": str,
    "base_url": str,
    "organization": str,
    "project": str,
    "region": str,
    "webhook_secrets": list,
    "simulated": bool,
    "background": bool,
    "retired": bool,
    "workspaces": list,
}
_TOLD = {str: "a text", bool: "true or false", list: "a list of texts"}


def read_accounts_file(path: str, environ: Mapping[str, str]) -> tuple[dict[str, Account], dict[str, str]]:
    """The accounts by name, and the workspaces that were given to one, by name. Raises SettingsError."""
    return _Reader(path, environ).read()


class _Reader:
    def __init__(self, path: str, environ: Mapping[str, str]) -> None:
        self._path = path
        self._environ = environ
        self._accounts: dict[str, Account] = {}
        self._workspaces: dict[str, str] = {}
        self._left: dict[str, str] = {}  # workspaces a retired account had

    def read(self) -> tuple[dict[str, Account], dict[str, str]]:
        whole = self._parse()
        for name in sorted(set(whole) - {"accounts", "workspaces"}):
            self._fault(f"[{name}]", "is no table of this file; the tables are accounts and workspaces")
        accounts = self._table(whole.get("accounts", {}), "[accounts]")
        for name, given in accounts.items():
            if not _NAME.fullmatch(name) or name == _TAKEN:
                self._fault(
                    f"[accounts.{name[:64]}]", "a name holds a-z, 0-9, - and _, at most 64; rename it"
                )
            self._account(name, self._table(given, f"[accounts.{name}]"))
        for workspace, name in self._table(whole.get("workspaces", {}), "[workspaces]").items():
            self._given(workspace, name)
        for workspace, name in self._left.items():
            if workspace not in self._workspaces:
                self._fault(
                    f"[accounts.{name}] workspaces",
                    f"{workspace!r} has only this account, which is retired; give it to another account",
                )
        return self._accounts, self._workspaces

    def _parse(self) -> dict[str, Any]:
        try:
            return tomllib.loads(Path(self._path).read_text())
        except OSError as error:
            self._fault("", f"cannot be read ({error.strerror}); name a readable TOML file")
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            # Only where it is broken: the line itself may hold what somebody took for the place of a key.
            where = re.search(r"at (line \d+, column \d+|end of document)", str(error))
            self._fault("", f"is not TOML ({where[0] if where else 'unreadable'}); mend it there")

    def _account(self, name: str, given: Mapping[str, Any]) -> None:
        table = f"[accounts.{name}]"
        for field, value in given.items():
            if field not in _FIELDS:
                self._fault(f"{table} {field}", f"is no field of an account; known: {', '.join(_FIELDS)}")
            texts = cast(list[Any], value) if isinstance(value, list) else []
            if not isinstance(value, _FIELDS[field]) or not all(isinstance(one, str) for one in texts):
                self._fault(f"{table} {field}", f"must be {_TOLD[_FIELDS[field]]}")
        if "key" not in given:
            self._fault(f"{table} key", 'is missing; write key = "env:NAME" or "file:/path"')
        if "base_url" in given and not is_url(given["base_url"]):
            self._fault(f"{table} base_url", "must look like https://host/v1")
        secrets = [self._secret(f"{table} webhook_secrets", one) for one in given.get("webhook_secrets", [])]
        known = {
            field: value
            for field, value in given.items()
            if field not in ("key", "webhook_secrets", "workspaces")
        }
        if "region" in given:
            known["base_url"] = self._regional(table, given["region"], given.get("base_url"))
        key = self._secret(f"{table} key", given["key"])
        self._accounts[name] = Account(key, webhook_secrets=tuple(secrets), **known)
        for workspace in given.get("workspaces", []):
            if given.get("retired"):
                self._left.setdefault(workspace, name)
            else:
                self._assign(workspace, name, f"{table} workspaces")

    def _regional(self, table: str, region: str, base_url: str | None) -> str:
        if not _REGION.fullmatch(region):
            self._fault(f"{table} region", 'must be a short word such as "eu"')
        try:
            return regional_url(region, base_url)
        except ValueError as error:
            self._fault(f"{table} {'region' if base_url is None else 'base_url'}", str(error))

    def _given(self, workspace: str, name: Any) -> None:
        field = f"[workspaces] {workspace}"
        if not isinstance(name, str) or name not in self._accounts:
            known = ", ".join(self._accounts) or "none"
            self._fault(field, f"must name an account of this file; known: {known}")
        if self._accounts[name].retired:
            self._fault(field, f"account {name!r} is retired; give the workspace to another account")
        self._assign(workspace, name, field)

    def _assign(self, workspace: str, name: str, field: str) -> None:
        other = self._workspaces.setdefault(workspace, name)
        if other != name:
            self._fault(field, f"{workspace!r} has account {other!r} already; keep one of the two")

    def _secret(self, field: str, reference: str) -> str:
        """What a reference leads to. The reference itself is not shown: it may be a key, put here by mistake."""
        kind, _, place = reference.partition(":")
        if kind == "env" and place:
            value = self._environ.get(place, "").strip()
            if not value:
                self._fault(field, f"the variable {place} is not set; set it, or name another")
        elif kind == "file" and place:
            value = self._from_file(field, Path(place))
        else:
            self._fault(field, "must be env:NAME or file:/path, never the secret itself")
        if not is_key(value):
            self._fault(field, "leads to a text with characters that no key has; write it anew")
        return value

    def _from_file(self, field: str, path: Path) -> str:
        try:
            mode = path.stat().st_mode
            if mode & 0o077:
                self._fault(field, f"{path} can be read by others; run: chmod 600 {path}")
            value = path.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "not a text"
            self._fault(field, f"{path} cannot be read ({reason}); name a file with one key in it")
        if not value:
            self._fault(field, f"{path} is empty; write the key into it")
        return value

    def _table(self, value: Any, name: str) -> dict[str, Any]:
        if not isinstance(value, dict):
            self._fault(name, "must be a table")
        return cast(dict[str, Any], value)

    def _fault(self, where: str, what: str) -> NoReturn:
        place = f"{self._path} {where}".strip()
        raise SettingsError(f"BACKLANE_ACCOUNTS_FILE: {place}: {what}") from None


def environment() -> Mapping[str, str]:
    """The environment that references lead into."""
    return os.environ
