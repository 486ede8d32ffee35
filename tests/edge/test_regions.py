"""An account's region: every call goes to the region's own host, and where nobody can know, that is said."""

from pathlib import Path
from typing import Any

import pytest

from backlane.cli.account_findings import account_findings
from backlane.cli.lanes import lane_line
from backlane.errors import SettingsError
from backlane.service.lanes import list_lanes
from backlane.simulator.server import Running
from backlane.wiring import build, read_accounts
from tests.conftest import Place, settings_for
from tests.edge.test_accounts_file import KEY, book
from tests.values import small_app

CHOSEN: list[tuple[str, str | None, str, bool]] = [
    ("eu", None, "https://eu.api.openai.com/v1", True),
    ("global", None, "https://api.openai.com/v1", True),
    ("eu", "https://EU.api.openai.com/v1", "https://EU.api.openai.com/v1", True),
    ("mars", "https://mars.api.openai.com/v1", "https://mars.api.openai.com/v1", True),
    ("eu", "https://proxy.example/v1", "https://proxy.example/v1", False),
    ("eu", "https://eu.api.openai.com.example/v1", "https://eu.api.openai.com.example/v1", False),
]


@pytest.mark.parametrize(("region", "given", "used", "enforced"), CHOSEN)
def test_an_account_with_a_region_is_called_at_that_region_s_host(
    tmp_path: Path, region: str, given: str | None, used: str, enforced: bool
) -> None:
    base_url = "" if given is None else f'base_url = "{given}"'
    found = book(tmp_path, f'[accounts.a]\nkey = "env:EU_KEY"\nregion = "{region}"\n{base_url}')
    assert found.accounts["a"].base_url == used
    [info] = found.all()
    assert (info.region, info.region_enforced) == (region, enforced)


REFUSED = [
    ("eu", "https://api.openai.com/v1", "base_url: api.openai.com is not in region 'eu'"),
    ("eu", "https://us.api.openai.com/v1", "write https://eu.api.openai.com/v1"),
    ("eu", "https://us.api.openai.com./v1", "is not in region 'eu'"),
    ("global", "https://eu.api.openai.com/v1", "is not in region 'global'"),
    ("euu", None, "region: 'euu' is no region that is known"),
    ("e.u", None, "must be a short word"),
]


@pytest.mark.parametrize(("region", "given", "told"), REFUSED)
def test_a_region_that_the_address_contradicts_stops_the_start_with_one_line(
    tmp_path: Path, region: str, given: str | None, told: str
) -> None:
    base_url = "" if given is None else f'base_url = "{given}"'
    with pytest.raises(SettingsError) as raised:
        book(tmp_path, f'[accounts.a]\nkey = "env:EU_KEY"\nregion = "{region}"\n{base_url}')
    line = str(raised.value)
    assert line.startswith(f"BACKLANE_ACCOUNTS_FILE: {tmp_path}/accounts.toml [accounts.a] ")
    assert told in line and "\n" not in line and KEY not in line


def test_the_environment_s_account_shows_the_region_of_its_address(
    tmp_path: Path, simulator: Running
) -> None:
    for address, region in (("https://eu.api.openai.com/v1", "eu"), ("https://api.openai.com/v1", None)):
        [info] = read_accounts(settings_for(tmp_path, simulator, openai_base_url=address)).all()
        assert (info.region, info.region_enforced) == (region, True)


async def test_the_region_is_shown_and_said_to_be_unknown_behind_another_server(
    tmp_path: Path, simulator: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EU_KEY", KEY)
    file = tmp_path / "accounts.toml"
    common = 'key = "env:EU_KEY"\nregion = "eu"\n'
    file.write_text(
        f'[accounts.own]\n{common}workspaces = ["main"]\n'
        f'[accounts.proxy]\n{common}workspaces = ["beta"]\nbase_url = "{simulator.base_url}"\n'
    )
    changes: dict[str, Any] = {"openai_api_key": None, "openai_base_url": None, "accounts_file": str(file)}
    settings = settings_for(tmp_path, simulator, **changes)
    service = build(settings, types=small_app(), log=lambda line: None)
    place = Place(service, simulator, settings)
    for workspace, known in (("main", ("own", "eu", True)), ("beta", ("proxy", "eu", False))):
        olga = await place.caller("olga", "operator", workspace)
        lanes = await list_lanes(service.ports, olga)
        assert {(one["account"], one["region"], one["region_enforced"]) for one in lanes} == {known}
        assert all(("eu (as said)" in lane_line(one)) is not known[2] for one in lanes)
    told = [sentence for _, sentence, _ in await account_findings(service)]
    assert "provider account own: eu.api.openai.com, region eu" in told
    assert any("region eu (as the file says: its server is not the provider's own)" in one for one in told)
    await service.drain(grace=1)
