"""The provider's events in the database: once each, worked on by one at a time, ended once."""

from backlane.core.notice import Notice
from backlane.store.transaction import SqlStore
from tests.values import NOW


def a_notice(number: int = 1, account: str = "default") -> Notice:
    return Notice(account, f"wh_{number}", "response.completed", f"resp_{number}")


async def test_an_event_is_stored_once_for_each_account(store: SqlStore) -> None:
    kept = [
        await store.write(lambda tx, account=account: tx.keep_notice(a_notice(account=account), NOW))
        for account in ("default", "default", "other", "default")
    ]
    assert kept == [True, False, True, False]
    heard = await store.read(lambda tx: tx.accounts_heard())
    assert [(row["provider_account"], row["state"], row["events"]) for row in heard] == [
        ("default", "new", 1),
        ("other", "new", 1),
    ]


async def test_only_events_about_our_runs_count_as_heard(store: SqlStore) -> None:
    for number, (account, state) in enumerate(
        [("default", "applied"), ("default", "foreign"), ("other", "foreign")]
    ):
        notice = a_notice(number, account)
        row = {"provider_account": account, "webhook_id": notice.webhook_id}
        await store.write(lambda tx, notice=notice, at=NOW + number: tx.keep_notice(notice, at))
        await store.write(lambda tx, row=row, state=state: tx.settle_notice(row, state, "so", NOW))
    assert await store.read(lambda tx: tx.newest_notice("default", NOW)) == NOW
    assert await store.read(lambda tx: tx.newest_notice("default", NOW + 1)) is None
    assert await store.read(lambda tx: tx.newest_notice("other", 0)) is None


async def test_the_newest_event_that_said_a_run_has_ended_is_known(store: SqlStore) -> None:
    for number, kind in enumerate(["response.failed", "response.completed", "response.odd"]):
        notice = Notice("default", f"wh_{number}", kind, "resp_1")
        await store.write(lambda tx, notice=notice, at=NOW + number: tx.keep_notice(notice, at))
    assert await store.read(lambda tx: tx.told_of("default", "resp_1")) == NOW + 1
    assert await store.read(lambda tx: tx.told_of("other", "resp_1")) is None
    assert await store.read(lambda tx: tx.told_of("default", "resp_2")) is None


async def test_events_of_types_that_nobody_knows_are_counted_by_type(store: SqlStore) -> None:
    for number, kind in enumerate(["a.b", "c.d", "response.completed", "c.d", "", "e.f"]):
        body = None if kind == "response.completed" else "{}"
        notice = Notice("default", f"wh_{number}", kind, None, body=body)
        await store.write(lambda tx, notice=notice: tx.keep_notice(notice, NOW))
    found = await store.read(lambda tx: tx.unknown_types(3))
    assert [(row["type"], row["events"]) for row in found] == [("c.d", 2), ("", 1), ("a.b", 1)]


async def test_an_event_is_claimed_by_one_worker_and_comes_again_if_it_dies(store: SqlStore) -> None:
    for number in (1, 2, 3):
        await store.write(lambda tx, n=number: tx.keep_notice(a_notice(n), NOW + n))
    assert await store.read(lambda tx: tx.next_notice()) == NOW + 1
    first = await store.write(lambda tx: tx.claim_notices(NOW + 2, NOW + 60, 9))
    assert [(row["webhook_id"], row["tries"]) for row in first] == [("wh_1", 1), ("wh_2", 1)]
    assert await store.write(lambda tx: tx.claim_notices(NOW + 2, NOW + 60, 9)) == []
    again = await store.write(lambda tx: tx.claim_notices(NOW + 60, NOW + 120, 9))
    assert {(row["webhook_id"], row["tries"]) for row in again} == {("wh_1", 2), ("wh_2", 2), ("wh_3", 1)}
    await store.write(lambda tx: tx.free_notices(NOW + 61))
    assert await store.read(lambda tx: tx.next_notice()) == NOW + 61


async def test_an_event_ends_once_and_is_forgotten_when_it_is_old(store: SqlStore) -> None:
    for number in (1, 2):
        await store.write(lambda tx, n=number: tx.keep_notice(a_notice(n), NOW))
    row, other = await store.write(lambda tx: tx.claim_notices(NOW, NOW + 60, 9))
    await store.write(lambda tx: tx.park_notice(other, "later", NOW + 5, attempt_id="att_1", tries=1))
    await store.write(lambda tx: tx.settle_notice(row, "applied", "adopted", NOW + 1))
    await store.write(lambda tx: tx.settle_notice(row, "foreign", "twice", NOW + 2))
    await store.write(lambda tx: tx.park_notice(row, "again", NOW + 2, attempt_id=None, tries=9))
    heard = await store.read(lambda tx: tx.accounts_heard())
    assert [(one["state"], one["events"]) for one in heard] == [("applied", 1), ("parked", 1)]
    assert await store.write(lambda tx: tx.drop_notices(NOW, 9)) == 0
    assert await store.write(lambda tx: tx.drop_notices(NOW + 1, 9)) == 1
    (left,) = await store.write(lambda tx: tx.claim_notices(NOW + 5, NOW + 60, 9))
    assert (left["attempt_id"], left["note"], left["tries"]) == ("att_1", "later", 2)
    assert await store.read(lambda tx: tx.heard_of("default", left["response_id"])) == NOW
