"""Support people and operators at a terminal: each command does what its verb does, and says so."""

import json

from backlane import AsyncClient
from backlane.cli.export import follows
from tests.conftest import Place
from tests.story.acts import fault, finished, submitted, verified
from tests.story.commands import command, served


async def test_a_failed_job_is_looked_after_by_commands_alone(working: Place) -> None:
    ana = await working.caller()
    fault(working, "failed", code="invalid_prompt")
    job = await finished(working, ana, await submitted(working, ana))
    async with served(working) as url:
        mine = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await working.key()}
        sue = {**mine, "BACKLANE_API_KEY": await working.key("sue", "support")}
        assert (await command(mine, "escalate", job["id"], "--reason", "due today", "--to", "sue")).code == 0
        listed = await command(sue, "cases", "--owner", "sue")
        case_id = listed.out.split()[0]
        assert job["id"] in listed.out
        told = await command(
            sue, "cases", case_id, "--promise", "by four", "--promise-by", "2031-01-01T16:00:00Z", "--note",
            "we look into it", "--for-requester",
        )  # fmt: skip
        assert "by four" in told.out
        assert "we look into it (the requester reads it)" in told.out
        assert (await command(sue, "note", job["id"], "she was upset")).code == 0
        mine_to_read = json.loads((await command(mine, "cases", case_id, "--json")).out)
        assert [note["text"] for note in mine_to_read["notes"]] == ["we look into it"]
        assert (await command(mine, "cases", case_id, "--close")).code == 3
        assert "closed by    sue" in (await command(sue, "cases", case_id, "--close")).out
        assert (await command(sue, "cases")).err.strip() == "no cases"
        assert (await command(sue, "cases", "--close")).code == 2
        assert (await command(sue, "archive", job["id"])).code == 3
        assert (await command(mine, "archive", job["id"])).code == 0
        assert job["id"] not in (await command(mine, "jobs")).out
        assert job["id"] in (await command(mine, "jobs", "--archived")).out
        assert (await command(mine, "unarchive", job["id"])).code == 0
        assert (await command(mine, "hold", job["id"])).code == 3
    verified(working)


async def test_operators_hold_resolve_in_bulk_and_take_the_audit_log_away(working: Place) -> None:
    ana = await working.caller()
    fault(working, "lose_create_reply", times=2)
    lost = [await finished(working, ana, await submitted(working, ana)) for _ in range(2)]
    async with served(working) as url:
        olga = {"BACKLANE_URL": url, "BACKLANE_API_KEY": await working.key("olga", "operator")}
        root = {**olga, "BACKLANE_API_KEY": await working.key("root", "admin")}
        held = json.loads((await command(olga, "hold", lost[0]["id"], "--reason", "court", "--json")).out)
        assert held["held"] is True
        assert json.loads((await command(olga, "release", lost[0]["id"], "--json")).out)["held"] is False
        words = [
            "bulk",
            "resolve",
            "--phase",
            "submission_unknown",
            "--choice",
            "give_up",
            "--reason",
            "outage",
        ]
        dry = await command(olga, *words, "--dry-run")
        assert dry.err.strip() == "2 would be allowed, 0 refused"
        done = await command(olga, *words)
        assert (done.code, done.err.strip()) == (0, "2 done, 0 refused")
        again = await command(
            olga, "bulk", "resolve", lost[0]["id"], "--choice", "give_up", "--reason", "twice"
        )
        assert again.code == 1
        assert "not-allowed" in again.out
        assert (await command(olga, "bulk", "archive", "--reason", "which?")).code == 2
        assert (await command(olga, "export", "audit")).code == 3
        taken = await command(root, "export", "audit")
        lines = [json.loads(line) for line in taken.out.splitlines()]
        assert taken.code == 0
        assert (
            taken.err.strip() == f"{len(lines)} lines, the chain is whole; its head is {lines[-1]['chain']}"
        )
        assert [line["action"] for line in lines].count("job.resolve") == 2
        assert lines[-1]["action"] == "audit.exported"
    heads = ["", *(line["chain"] for line in lines)]
    assert all(follows(head, line) for head, line in zip(heads, lines, strict=False))
    assert not follows(heads[3], {**lines[3], "actor": "eve"})
    assert not follows(heads[2], lines[3])
    verified(working)


async def test_a_program_looks_after_jobs_through_the_client(working: Place) -> None:
    ana = await working.caller()
    job = await finished(working, ana, await submitted(working, ana))
    async with served(working) as url, AsyncClient(url, await working.key("root", "admin")) as root:
        assert (await root.archive(job["id"])).data["archived_at"] is not None
        assert (await root.unarchive(job["id"])).data["archived_at"] is None
        assert (await root.hold(job["id"], "court")).data["held"] is True
        assert (await root.release(job["id"])).data["held"] is False
        case = await root.open_case(job["id"], "somebody rang", "upset")
        assert (await root.note(job["id"], "again"))["case"] == case["id"]
        assert (await root.case(case["id"], state="closed"))["state"] == "closed"
        assert (await root.case(case["id"]))["closed_by"] == "root"
        assert (await root.bulk("archive", "old", [job["id"]]))["done"] == 1
    verified(working)
