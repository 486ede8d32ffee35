"""Admins make keys and take them back over HTTP; services mint tokens for their end users, who follow and cancel."""

import asyncio
from typing import Any

import httpx2
import pytest

from tests.conftest import Place
from tests.story.acts import finished, seen, verified
from tests.story.asking import asking


async def service_of(place: Place, name: str = "portal") -> str:
    """A fresh key of a service, made by an admin over HTTP."""
    async with asking(place, "adam", "admin") as adam:
        made = await adam.post("/keys", json={"role": "submitter", "name": name, "service": True})
    return made.json()["key"]


def holding(place: Place, credential: str) -> httpx2.AsyncClient:
    """The API as whoever holds this credential."""
    transport = httpx2.ASGITransport(app=place.app())
    headers = {"Authorization": f"Bearer {credential}"}
    return httpx2.AsyncClient(transport=transport, base_url="http://here/v1", headers=headers)


async def submitted_for(portal: httpx2.AsyncClient, user: str, type_name: str = "draft") -> str:
    body = {"type": type_name, "inputs": {"text": "Sea otters float."}, "user": user}
    answer = await portal.post("/jobs", json=body)
    assert answer.status_code == 202, answer.text
    return answer.json()["id"]


async def minted(portal: httpx2.AsyncClient, **body: Any) -> str:
    answer = await portal.post("/tokens", json=body)
    assert answer.status_code == 201, answer.text
    assert answer.headers["cache-control"] == "no-store"
    return answer.json()["token"]


async def test_an_admin_makes_a_key_and_takes_it_back_at_once(working: Place) -> None:
    async with asking(working, "adam", "admin") as adam:
        made = (await adam.post("/keys", json={"role": "reviewer", "name": "rita"})).json()
        async with holding(working, made["key"]) as rita:
            me = (await rita.get("/me")).json()
            assert (me["name"], me["role"], me["kind"]) == ("rita", "reviewer", "person")
            assert "reviews.decide" in me["may"] and "keys.manage" not in me["may"]
            assert (await adam.delete(f"/keys/{made['id']}")).status_code == 204
            assert (await rita.get("/me")).status_code == 401
        assert (await adam.delete(f"/keys/{made['id']}")).status_code == 404
        listed = (await adam.get("/keys")).json()["data"]
        assert [row["revoked_at"] is not None for row in listed if row["id"] == made["id"]] == [True]
        assert made["key"] not in str(listed) and not any("hash" in row for row in listed)
        lines = (await adam.get(f"/audit?subject={made['id']}")).json()["data"]
        assert [(line["actor"], line["action"]) for line in lines] == [
            ("adam", "key.created"),
            ("adam", "key.revoked"),
        ]
        for wrong in ({"role": "king", "name": "x"}, {"role": "admin", "name": "policy"}, {"role": "admin"}):
            assert (await adam.post("/keys", json=wrong)).status_code == 422
        taken = await adam.post("/keys", json={"role": "admin", "name": "una through portal"})
        assert taken.status_code == 422, "an end user's name is nobody else's"
    verified(working)


async def test_keys_are_for_admins_of_their_own_workspace(working: Place) -> None:
    async with asking(working, "adam", "admin") as adam:
        made = (await adam.post("/keys", json={"role": "reviewer", "name": "rita"})).json()
        assert len((await adam.get("/workspaces")).json()["data"]) == 1
    async with holding(working, await working.key("eve", "admin", "other")) as eve:
        assert (await eve.delete(f"/keys/{made['id']}")).status_code == 404
        assert made["id"] not in (await eve.get("/keys")).text
    for role in ("submitter", "reviewer", "support", "operator"):
        async with asking(working, "olga", role) as olga:
            for method, path in (("GET", "/keys"), ("POST", "/keys"), ("DELETE", f"/keys/{made['id']}")):
                assert (await olga.request(method, path, json={})).status_code == 403
    async with holding(working, made["key"]) as rita:
        assert (await rita.get("/me")).status_code == 200


async def test_a_token_follows_cancels_and_retries_its_users_jobs_and_decides_nothing(working: Place) -> None:
    async with holding(working, await service_of(working)) as portal:
        job, other = await submitted_for(portal, "una"), await submitted_for(portal, "ulf")
        token = await minted(portal, user="una", ttl=60)
        listed = await minted(portal, user="una", jobs=[job])
        assert (await portal.post("/tokens", json={"user": "una", "jobs": [other]})).status_code == 422
        assert (await portal.post("/tokens", json={"user": "una", "ttl": 3601})).status_code == 422
    olga = await working.caller("olga", "operator")
    view = await seen(working, olga, job, lambda view: view["status"] == "needs_review")
    async with holding(working, token) as una, holding(working, listed) as narrow:
        assert [row["id"] for row in (await una.get("/jobs")).json()["data"]] == [job]
        assert (await una.get("/jobs?user=ulf")).json()["data"] == []
        assert (await una.get(f"/jobs/{other}")).status_code == 404
        assert (await una.get(f"/jobs/{job}/inputs")).json()["text"]
        assert (await una.get(f"/jobs/{job}")).json()["allowed"] == ["cancel"]
        decision = {"decision": "approve", "payload_hash": view["review"]["payload_hash"]}
        refused = await una.post(f"/reviews/{view['review']['id']}/decisions", json=decision)
        assert refused.status_code == 403
        for path, body in (
            ("/jobs", {"type": "draft", "inputs": {"text": "x"}}),
            (f"/jobs/{job}/notes", {"text": "x"}),
            (f"/jobs/{job}/escalate", {"reason": "x"}),
            (f"/jobs/{job}/archive", {}),
            ("/tokens", {"user": "una"}),
            ("/cases", {"job": job, "reason": "x"}),
            ("/keys", {"role": "admin", "name": "x"}),
        ):
            assert (await una.post(path, json=body)).status_code == 403, path
        assert (await una.post(f"/jobs/{job}/cancel", json={})).json()["status"] == "canceled"
        again = await narrow.post(f"/jobs/{job}/retry", json={})
        assert again.status_code == 202, again.text
        assert {row["id"] for row in (await narrow.get("/jobs")).json()["data"]} == {job, again.json()["id"]}
    rita = await working.caller("rita", "reviewer")
    ended = await finished(working, olga, await raw(working, again.json()["id"]))
    assert (ended["submitted_by"], ended["user"]) == ("portal", "una")
    told = await show_events(working, rita, job)
    assert ("job.canceled", "una through portal") in told
    verified(working)


async def raw(place: Place, job_id: str) -> Any:
    return await place.service.store.read(lambda tx: tx.job(job_id))


async def show_events(place: Place, caller: Any, job_id: str) -> list[tuple[str, str]]:
    from tests.story.acts import events_of

    return [(one["type"], one["actor"]) for one in await events_of(place, caller, job_id)]


async def test_a_token_ends_with_its_time_and_with_its_key(working: Place) -> None:
    key = await service_of(working)
    async with holding(working, key) as portal:
        brief, long = await minted(portal, user="una", ttl=3), await minted(portal, user="una")
        body, _, mark = long.partition(".")
        async with asking(working, "adam", "admin") as adam:
            lines = (await adam.get("/audit?action=token.minted")).json()["data"]
            assert [(line["actor"], line["data"]["user"]) for line in lines] == [("portal", "una")] * 2
            for forged in (
                f"{body}.",
                f"{body}x.{mark}",
                "blt_",
                "blt_.",
                f"{body}.{mark[:-2]}AA",
                "blt_é.x",
            ):
                async with holding(working, forged.encode("ascii", "ignore").decode()) as nobody:
                    assert (await nobody.get("/me")).status_code == 401
            async with holding(working, long) as una, holding(working, brief) as quick:
                assert (await una.get("/me")).json()["name"] == "una through portal"
                assert (await quick.get("/me")).status_code == 200
                await asyncio.sleep(3.05)
                assert (await quick.get("/me")).status_code == 401
                rows = (await adam.get("/keys")).json()["data"]
                mine = next(row["id"] for row in rows if row["name"] == "portal")
                await adam.delete(f"/keys/{mine}")
                assert (await una.get("/me")).status_code == 401
    verified(working)


@pytest.mark.parametrize("role", ["submitter", "operator", "admin"])
async def test_only_services_mint_tokens(working: Place, role: str) -> None:
    async with asking(working, "ana", role) as ana:
        assert (await ana.post("/tokens", json={"user": "una"})).json()["code"] == "role-required"
