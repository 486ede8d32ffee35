"""The audit log: one line per deed, the actor from the credential, chained, read by admins, taken away and checked."""

import json
import secrets
from typing import Any

import httpx2

from backlane.core.event import Event
from backlane.outbound.folder import ArtifactFolder
from backlane.service.access import authenticate
from backlane.service.revoke import revoke_key
from backlane.verify.collect import collect
from backlane.verify.invariants import check
from tests.conftest import Place
from tests.story.acts import fault, finished, submitted, verified
from tests.story.asking import asking
from tests.story.commands import served


async def test_every_deed_is_one_line_that_names_who_did_it(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply")
    lost = await finished(working, ana, await submitted(working, ana))
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    async with asking(working, "olga", "operator") as olga, asking(working, "rita", "reviewer") as rita:
        await olga.post(f"/jobs/{lost['id']}/resolve", json={"choice": "give_up"})
        await olga.post(f"/jobs/{lost['id']}/hold", json={"reason": "court"})
        await olga.post(f"/jobs/{lost['id']}/release")
        review = (await rita.get(f"/reviews/{draft['review']['id']}")).json()
        body = {"decision": "approve", "payload_hash": review["payload_hash"]}
        await rita.post(f"/reviews/{review['id']}/decisions", json=body)
    async with asking(working) as requester:
        again = (await requester.post(f"/jobs/{lost['id']}/retry")).json()["id"]
        await requester.post(f"/jobs/{lost['id']}/retry")
        await requester.post(f"/jobs/{lost['id']}/archive")
        assert (await requester.post(f"/jobs/{lost['id']}/archive")).status_code == 200
        await requester.post(f"/jobs/{lost['id']}/unarchive")
        await requester.post(f"/jobs/{lost['id']}/escalate", json={"reason": "help"})
        await requester.post(f"/jobs/{again}/cancel")
        result = next(row["id"] for row in draft["artifacts"] if row["kind"] == "result")
        await requester.get(f"/artifacts/{result}/content")
        await requester.get(f"/jobs/{lost['id']}/inputs")
    async with asking(working, "root", "admin") as root:
        lines = (await root.get("/audit?limit=200")).json()["data"]
        deeds = [
            (line["actor"], line["action"], line["subject"]) for line in lines if "key" not in line["action"]
        ]
        job = lost["id"]
        case = (await root.get(f"/jobs/{job}")).json()["case"]
        for deed in (
            ("olga", "job.resolve", job), ("olga", "job.hold", job), ("olga", "job.release", job),
            ("rita", "review.decided", review["id"]), ("ana", "job.retry", job), ("ana", "job.archive", job),
            ("ana", "job.unarchive", job), ("ana", "case.open", case), ("ana", "job.escalate", job),
            ("ana", "job.cancel", again), ("ana", "content.read", result), ("ana", "inputs.read", job),
        ):  # fmt: skip
            assert deeds.count(deed) == 1, deed
        resolved = next(line for line in lines if line["action"] == "job.resolve")
        assert (resolved["data"]["role"], resolved["data"]["choice"]) == ("operator", "give_up")
        assert resolved["data"]["key"].startswith("key_")
    verified(working)


async def test_the_log_is_for_admins_and_reading_it_is_a_line_of_it(working: Place) -> None:
    for role in ("submitter", "reviewer", "support", "operator"):
        async with asking(working, role, role) as http:
            assert (await http.get("/audit")).status_code == 403
    async with asking(working, "root", "admin") as root, asking(working, "eve", "admin", "other") as eve:
        page = (await root.get("/audit?limit=2")).json()
        seen = [line["seq"] for line in page["data"]]
        while page["next_cursor"]:
            page = (await root.get(f"/audit?limit=2&cursor={page['next_cursor']}")).json()
            seen += [line["seq"] for line in page["data"]]
        assert seen == list(range(1, len(seen) + 1))
        mine = (await root.get("/audit?action=audit.read")).json()["data"]
        assert [line["actor"] for line in mine] == ["root", "root"]
        foreign = (await eve.get("/audit?limit=200")).json()["data"]
        assert "root" not in json.dumps(foreign)
        assert (await eve.get(f"/audit?cursor={'x' * 40}")).status_code == 422
    verified(working)


async def test_a_key_is_made_and_revoked_with_one_line_each(working: Place) -> None:
    key = await working.key("rita", "reviewer")
    caller = await authenticate(working.service.ports, f"Bearer {key}")
    ports = working.service.ports
    for _ in range(2):
        await working.service.store.write(lambda tx: revoke_key(tx, ports, caller.key_id, "command-line"))
    async with asking(working, "root", "admin") as root:
        lines = (await root.get(f"/audit?subject={caller.key_id}")).json()["data"]
        assert [line["action"] for line in lines] == ["key.created", "key.revoked"]
        assert key not in json.dumps(lines)
    verified(working)


async def test_nobody_is_called_like_the_service_itself(working: Place) -> None:
    import pytest

    from backlane.errors import InvalidRequest
    from backlane.service.make_key import make_key

    ports = working.service.ports
    for name in ("backlane", "Policy", "command-line"):
        with pytest.raises(InvalidRequest):
            await working.service.store.write(
                lambda tx, name=name: make_key(
                    tx, ports, secrets.token_bytes(23), role="admin", workspace="main", name=name
                )
            )


async def test_a_line_that_is_altered_taken_out_or_kept_back_shows(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with asking(working) as requester:
        await requester.post(f"/jobs/{job['id']}/archive")
    database = working.service.store.database
    folder = ArtifactFolder.from_url(working.settings.artifacts_url)

    def found() -> set[str]:
        return {name for name, _ in check(collect(database, folder.read)).violations}

    assert found() == set()
    kept = [
        "UPDATE audit SET actor = 'eve' WHERE action = 'job.archive'",
        "UPDATE audit SET actor = 'ana' WHERE action = 'job.archive'",
    ]
    for n, statement in enumerate(kept):
        database.write_now(lambda connection, statement=statement: connection.exec_driver_sql(statement))
        assert found() == ({"I30"} if n == 0 else set())
    database.write_now(
        lambda connection: connection.exec_driver_sql("DELETE FROM audit WHERE action = 'job.archive'")
    )
    assert found() == {"I30"}


async def test_a_deed_without_its_line_shows(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    event = Event("job.held", working.service.ports.clock.now(), "olga", {})
    await working.service.store.write(lambda tx: tx.keep_events(job["id"], [event]))
    folder = ArtifactFolder.from_url(working.settings.artifacts_url)
    found = {name for name, _ in check(collect(working.service.store.database, folder.read)).violations}
    assert found == {"I30", "C01"}


async def test_a_read_of_what_the_gate_closes_is_a_line_and_an_open_one_is_none(working: Place) -> None:
    ana = await working.caller()
    plain = await finished(working, ana, await submitted(working, ana))
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    result = next(row["id"] for row in draft["artifacts"] if row["kind"] == "result")
    async with asking(working, "rita", "reviewer") as rita, asking(working) as requester:
        await requester.get(f"/jobs/{plain['id']}/events")
        await requester.get(f"/jobs/{draft['id']}/events")
        await rita.get(f"/jobs/{draft['id']}/events")
        await rita.get(f"/jobs/{draft['id']}/events?after=100")
        await rita.get(f"/artifacts/{result}/content")
    async with asking(working, "sue", "support") as sue, asking(working, "root", "admin") as root:
        assert (await sue.get(f"/jobs/{plain['id']}/inputs")).status_code == 403
        await sue.get(f"/jobs/{plain['id']}/inputs?reason=ticket+7")
        lines = (await root.get("/audit?limit=200")).json()["data"]
        reads = [
            (one["actor"], one["action"], one["subject"]) for one in lines if one["action"].endswith(".read")
        ]
        assert reads == [
            ("rita", "events.read", draft["id"]),
            ("rita", "content.read", result),
            ("sue", "inputs.read", plain["id"]),
            ("root", "audit.read", place_of(lines)),
        ]
        assert next(one for one in lines if one["action"] == "inputs.read")["data"]["reason"] == "ticket 7"
    verified(working)


async def test_who_follows_a_gated_job_is_a_line_before_anything_comes(working: Place) -> None:
    ana = await working.caller()
    draft = await finished(working, ana, await submitted(working, ana, "draft"))
    path = f"/v1/jobs/{draft['id']}/events?after=100"
    async with served(working) as url:
        for name, role in (("ana", "submitter"), ("rita", "reviewer")):
            headers = {
                "Accept": "text/event-stream",
                "Authorization": f"Bearer {await working.key(name, role)}",
            }
            async with (
                httpx2.AsyncClient(base_url=url, headers=headers) as http,
                http.stream("GET", path) as got,
            ):
                assert got.status_code == 200
    async with asking(working, "root", "admin") as root:
        lines = (await root.get("/audit?limit=200")).json()["data"]
        assert [one["actor"] for one in lines if one["action"] == "events.read"] == ["rita"]
    verified(working)


def place_of(lines: list[dict[str, Any]]) -> str:
    """The workspace whose log this is."""
    return next(one["subject"] for one in lines if one["action"] == "workspace.created")
