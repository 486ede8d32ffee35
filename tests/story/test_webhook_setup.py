"""An operator lets the provider tell of ends: one command registers the endpoint, doctor says how it goes."""

import asyncio
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from backlane.errors import InvalidRequest
from backlane.provider.registration import PATH, public_url
from backlane.simulator.server import Running, running_simulator
from backlane.wiring import build
from tests.conftest import Place, settings_for
from tests.edge.raw_server import raw_server, reply
from tests.signing import event, signed
from tests.story.acts import finished, submitted, verified
from tests.story.hooking import calls, hooked_place, listening, post, rows, telling_simulator
from tests.story.test_processes import ROOT, environment
from tests.values import small_app


async def doctor(place: Place, *more: str, **changes: str) -> tuple[int, str, str]:
    """Run `backlane doctor`."""
    env = {**environment(place), **changes}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "backlane.cli", "doctor", *more,
        cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    out, err = await asyncio.wait_for(process.communicate(), 60)
    return process.returncode or 0, out.decode(), err.decode()


def findings(out: str) -> dict[str, Any]:
    (found,) = [line for line in json.loads(out)["findings"] if "webhook" in line["what"]]
    return found


async def test_an_endpoint_is_registered_and_its_secret_opens_the_door(tmp_path: Path) -> None:
    at = listening()
    port = at.getsockname()[1]
    with running_simulator(seed=3, speed=20.0) as simulator:
        chosen = settings_for(tmp_path, simulator)
        bare = Place(build(chosen, types=small_app(), log=lambda line: None), simulator, chosen)
        _, out, _ = await doctor(bare, "--json")
        assert findings(out)["level"] == "info"
        code, out, err = await doctor(bare, "--register-webhook", f"http://127.0.0.1:{port}")
        assert code == 0, err
        name, _, secret = out.strip().partition("=")
        assert (name, secret[:6]) == ("OPENAI_WEBHOOK_SECRET", "whsec_")
        assert secret not in err
        await bare.service.drain()
        async with hooked_place(tmp_path, simulator, at, openai_webhook_secret=secret) as place:
            _, out, _ = await doctor(place, "--json")
            assert (findings(out)["level"], "none came" in findings(out)["what"]) == ("warning", True)
            ana = await place.caller()
            view = await finished(place, ana, await submitted(place, ana))
            assert (view["status"], calls(place, "retrieve")) == ("completed", 1)
            url = f"http://127.0.0.1:{port}"
            _, out, _ = await doctor(place, "--json", BACKLANE_URL=url)
            found = findings(out)
            assert (found["level"], "1 applied" in found["what"]) == ("ok", True)
            assert secret not in out
            verified(place)


async def test_any_account_of_the_file_registers_its_own_endpoint(tmp_path: Path) -> None:
    at = listening()
    url = f"http://127.0.0.1:{at.getsockname()[1]}"
    file = tmp_path / "accounts.toml"
    with running_simulator(seed=3, speed=20.0) as first, running_simulator(seed=4, speed=20.0) as second:
        common = 'key = "env:B_KEY"\nsimulated = true\n'
        accounts = f'[accounts.eu-1]\n{common}base_url = "{second.base_url}"\nworkspaces = ["main"]\n'
        file.write_text(accounts)
        chosen = settings_for(tmp_path, first)
        bare = Place(build(chosen, types=small_app(), log=lambda line: None), first, chosen)
        changes = {"BACKLANE_ACCOUNTS_FILE": str(file), "B_KEY": "sk-canary-second"}
        code, out, err = await doctor(bare, "--register-webhook", url, "--account", "eu-1", **changes)
        assert code == 0, err
        name, _, secret = out.strip().partition("=")
        assert (name, secret[:6]) == ("EU_1_WEBHOOK_SECRET", "whsec_")
        assert '"env:EU_1_WEBHOOK_SECRET" to webhook_secrets of [accounts.eu-1]' in err
        assert (len(first.world.webhooks.endpoints), len(second.world.webhooks.endpoints)) == (0, 1)
        code, _, err = await doctor(bare, "--register-webhook", url, "--account", "us", **changes)
        assert (code, "no account 'us' with a key; known: default, eu-1" in err) == (2, True)
        await bare.service.drain()
        file.write_text(accounts + 'webhook_secrets = ["env:EU_1_WEBHOOK_SECRET"]\n')
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("B_KEY", "sk-canary-second")
            patch.setenv("EU_1_WEBHOOK_SECRET", secret)
            given = {"accounts_file": str(file), "openai_webhook_secret": None}
            async with hooked_place(tmp_path, second, at, **given) as place:
                ana = await place.caller()
                view = await finished(place, ana, await submitted(place, ana))
                assert (view["status"], view["provider_account"]) == ("completed", "eu-1")
                assert calls(place, "retrieve") == 1


async def test_doctor_names_the_types_that_nobody_here_knows_and_never_what_they_say(tmp_path: Path) -> None:
    at = listening()
    with telling_simulator(at) as simulator:
        async with hooked_place(tmp_path, simulator, at) as place:
            ana = await place.caller()
            assert (await finished(place, ana, await submitted(place, ana)))["status"] == "completed"
            _, out, _ = await doctor(place, "--json")
            assert "nobody here knows" not in findings(out)["what"]
            for number, kind in enumerate(["response.gremlins", "response.gremlins", "otter.\x1b[2Jrested"]):
                body = event("resp_canary", kind, said={"canary": [number, "…"]})
                assert await post(place, body, signed(body, f"wh_{number}")) == 204
            kept = [row["body"] for row in rows(place) if row["body"] is not None]
            assert sorted(json.loads(body)["said"]["canary"][0] for body in kept) == [0, 1, 2]
            code, out, err = await doctor(place, "--json")
            told = "kept as sent, of types that nobody here knows: 2 response.gremlins, 1 otter.⟨U+001B⟩[2Jrested"
            assert (code, told in findings(out)["what"]) == (0, True), findings(out)
            assert "canary" not in out + err
            verified(place)


WRONG = ["http://backlane.example.test", "ftp://x", "https://", "https://me:pw@x/", "x", "https://x:99999", "https://[",
         "http://10.0.0.1/", "https://x/#y", "http://localhost.example.test"]  # fmt: skip


@pytest.mark.parametrize("url", WRONG)
def test_an_address_in_the_open_is_refused(url: str) -> None:
    with pytest.raises(InvalidRequest):
        public_url(url)


def test_the_path_of_the_door_is_added_where_none_is_given() -> None:
    assert public_url("https://backlane.example.test") == f"https://backlane.example.test{PATH}"
    assert public_url(" https://x:8443/ ") == f"https://x:8443{PATH}"
    assert public_url("https://x/behind/a/proxy") == "https://x/behind/a/proxy"
    assert public_url("http://[::1]:8321") == f"http://[::1]:8321{PATH}"


async def test_what_the_provider_refuses_is_said_without_the_key(tmp_path: Path, simulator: Running) -> None:
    error = {"error": {"message": "No permission for sk-test-canary-5f2d.", "type": "x", "code": "no"}}
    answers = [reply(403, error), reply(200, {"id": "we_1"}), reply(500, b"")]
    told = ["refused: no", "nobody knows", "nobody knows"]
    async with raw_server(*answers) as server:
        chosen = settings_for(tmp_path, simulator)
        place = Place(build(chosen, types=small_app(), log=lambda line: None), simulator, chosen)
        for words in told:
            code, out, err = await doctor(
                place, "--register-webhook", "https://x.example.test", OPENAI_BASE_URL=f"{server.url}/v1",
                OPENAI_API_KEY="sk-test-canary-5f2d",
            )  # fmt: skip
            assert (code, out) == (1, "")
            assert words in err
            assert "canary" not in err
        code, _, err = await doctor(place, "--register-webhook", "http://x.example.test")
        assert (code, "https" in err) == (2, True)
        await place.service.drain()
