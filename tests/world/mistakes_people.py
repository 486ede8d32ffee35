"""Planted mistakes about what people decide, what then leaves, and what they say to jobs."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from backlane.core import action as core_action
from backlane.core import review, step
from backlane.core.action import Action, ActionState
from backlane.core.event import Event
from backlane.core.job import STREAM_LOST, Attempt, AttemptReason, Job
from backlane.core.policy import NO_POLICY, Answer, Verdict
from backlane.core.ports import CreateCall
from backlane.core.situation import Plan
from backlane.core.storage import Transaction
from backlane.errors import NotAllowed
from backlane.provider.openai import OpenAIProvider
from backlane.service import (
    access,
    act,
    approve_action,
    ask,
    control_actions,
    decide,
    escalate,
    request_changes,
    stand,
    take_turns,
)
from backlane.service.act import Said
from backlane.service.conclude import conclude
from backlane.service.judge import judge_action
from backlane.service.ports import Ports
from backlane.service.show_actions import find_action
from backlane.service.situate import Held
from backlane.service.witness import witness
from backlane.store.records_actions import ActionRecords
from backlane.store.records_messages import MessageRecords
from backlane.store.records_review import ReviewRecords
from tests.world.planting import Undo, put, swap


def never_void_for(*reasons: str) -> list[Undo]:
    """At dispatch this reason is not looked at any more."""
    before = stand.why_void

    def blind(
        tx: Transaction, ports: Ports, job: Job, action: Action, content: str | None, **how: bool
    ) -> str | None:
        why = before(tx, ports, job, action, content, **how)
        return None if why in reasons else why

    return swap(before, blind)


def act_without_asking() -> list[Undo]:
    """What the model proposes is approved by nobody, and carried out."""

    async def asks_nobody(ports: Ports, held: Held, action: Action) -> Held | None:
        assert held.type is not None
        content = await ask.content_now(ports, held, action)
        said = await judge_action(ports, held.type, held.job, action)
        version = NO_POLICY if said is None else said.version

        def turn(tx: Transaction, job: Job) -> tuple[Job, Sequence[Event]]:
            bound = {"content": content, "policy_version": version, "expires_at": job.useful_until}
            fresh = replace(action, **bound)
            return approve_action.approve_by_policy(
                tx, ports, job, fresh, Verdict(answer=Answer.ALLOW, version=version)
            )

        return await conclude(ports, held, turn)

    return never_void_for("not_approved") + swap(ask.ask_action, asks_nobody)


def hand_a_review_to_whom_its_requester_names() -> list[Undo]:
    """A review goes to the role that is asked for, whichever has it."""
    before = escalate._next_role

    def named(ports: Ports, job: Job, review: Any, to: str | None) -> str | None:
        return to or before(ports, job, review, to)

    return swap(before, named)


def call_again_after_a_crash() -> list[Undo]:
    """Whoever finds an action under way calls it once more: the key is the same, after all."""

    async def again(ports: Ports, held: Held, action: Action) -> Held | None:
        assert held.type is not None
        declared = held.type.action(action.type)
        assert declared is not None
        said = await act._call(ports, declared, action, ports.clock.now())
        return await act.keep_said(ports, held, action, said)

    return swap(act.lose_effect, again)


def call_before_the_commit() -> list[Undo]:
    """The outside is called first, `dispatching` is written down afterwards."""
    before = act._commit

    async def early(ports: Ports, held: Held, action: Action, content: str | None) -> Any:
        declared = None if held.type is None else held.type.action(action.type)
        if declared is not None:
            await act._call(ports, declared, action, ports.clock.now())
        return await before(ports, held, action, content)

    return swap(before, early)


def take_silence_for_a_no() -> list[Undo]:
    """A call that did not say whether it happened has failed."""
    before = act._call

    async def sure(ports: Ports, declared: Any, action: Action, committed_at: int) -> Said:
        said = await before(ports, declared, action, committed_at)
        return replace(said, outcome=ActionState.FAILED) if said.outcome is ActionState.UNKNOWN else said

    return swap(before, sure)


def believe_the_first_lookup() -> list[Undo]:
    """A lookup that finds nothing proves that nothing happened, however soon it asked."""
    return swap(core_action.quiet_from, lambda action, slack: 0)


def let_one_stand_for_two() -> list[Undo]:
    """The first approval is enough."""
    return swap(review.approvals, lambda decisions, version: {"one", "two", "three"})


def keep_approvals_after_an_edit() -> list[Undo]:
    """Who approved an earlier version counts for the edited one."""

    def whatever(decisions: Any, version: int) -> set[str]:
        return {row["actor"] for row in decisions if row["decision"] == "approve"}

    return swap(review.approvals, whatever)


def let_the_requester_decide() -> list[Undo]:
    """Whoever asked for a job may approve it."""
    return swap(review.is_requester, lambda submitted_by, user, name: False)


def decide_on_what_was_not_shown() -> list[Undo]:
    """The hash a reviewer sends is not compared with what waits for the decision."""
    before = decide.permitted

    def lax(tx: Transaction, ports: Ports, caller: Any, review_id: str, answer: Any) -> Any:
        row = tx.review(review_id)
        known = answer if row is None else replace(answer, payload_hash=row["payload_hash"])
        return before(tx, ports, caller, review_id, known)

    return swap(before, lax)


def trust_the_row_at_dispatch() -> list[Undo]:
    """What lies in the database is sent, whether or not it is what was approved."""
    return never_void_for("altered")


def trust_who_left() -> list[Undo]:
    """An approval stands although its approver has no key any more."""
    return swap(stand._holds, lambda tx, decision, now: True)


def act_on_a_rejection() -> list[Undo]:
    """A rejected action is carried out like an approved one."""
    return never_void_for("not_approved") + swap(approve_action.reject_action, approve_action.approve_action)


def show_before_the_release() -> list[Undo]:
    """What a gated run wrote is shown to whoever asked for it."""
    return swap(access.closed_for, lambda caller, job: False)


def ignore_the_kill_switch() -> list[Undo]:
    """Actions are carried out whether or not they are stopped."""
    return put(ActionRecords, "actions_stopped_at", lambda self, workspace: None)


def only_tell_of_an_undo() -> list[Undo]:
    """An action is called undone, and carried out when its time comes."""

    async def told_only(ports: Ports, caller: Any, action_id: str, reason: str | None) -> str:
        def body(tx: Transaction) -> None:
            job, action = find_action(tx, caller, action_id)
            if action.state is not ActionState.APPROVED:
                raise NotAllowed(str(action.state), "undo")
            data = {"action": action_id, "number": action.number}
            tx.save(job, job, [Event("action.undone", ports.clock.now(), caller.name, data)])
            witness(tx, ports, caller, "action.undo", action_id, job=job.id)

        await ports.store.write(body)
        return action_id

    return swap(control_actions.undo_action, told_only)


def take_any_word_of_a_policy_for_yes() -> list[Undo]:
    """Whatever a policy answers, what it was asked about goes out."""
    before, keep = ask.judge_action, ask.keep_verdict
    said_truly: dict[str, Verdict] = {}

    async def yes(ports: Ports, job_type: Any, job: Job, action: Action) -> Verdict | None:
        said = await before(ports, job_type, job, action)
        if said is None:
            return None
        said_truly[action.id] = said
        return replace(said, answer=Answer.ALLOW)

    def kept(
        tx: Transaction, ports: Ports, job: Job, said: Verdict, payload_hash: str, *, action: str
    ) -> Any:
        return keep(tx, ports, job, said_truly[action], payload_hash, action=action)

    return never_void_for("not_approved") + swap(before, yes) + put(ask, "keep_verdict", kept)


def show_again_what_was_sent_back() -> list[Undo]:
    """A draft that a reviewer sent back is not marked, and stands beside the next one."""
    return put(ReviewRecords, "send_back_artifacts", lambda self, job_id: None)


def lose_the_note() -> list[Undo]:
    """Work is sent back, and the model is not told why."""
    before = request_changes.read_changes

    async def told_nothing(ports: Ports, review: Any, note: str) -> Any:
        return replace(await before(ports, review, note), note="Please improve it.")

    return swap(before, told_nothing)


def forget_what_was_said() -> list[Undo]:
    """Words are stored, and the next turn does not hold them."""
    return put(MessageRecords, "waiting_messages", lambda self, job_id: [])


def say_everything_twice() -> list[Undo]:
    """What a person said stands in the turn two times."""
    before = take_turns.words_of

    def doubled(rows: Any) -> Any:
        return [said for said in before(rows) for _ in range(2)]

    return swap(before, doubled)


def buy_talk_in_the_background() -> list[Undo]:
    """An interactive run is created like any other, to be found again."""
    before = OpenAIProvider.open_stream

    async def behind(self: Any, call: CreateCall) -> Any:
        return await before(self, replace(call, background=True))

    return put(OpenAIProvider, "open_stream", behind)


def buy_a_lost_talk_again() -> list[Undo]:
    """A run that was lost with its stream is taken for one that failed, and bought anew."""
    before = step._unknown

    def anew(situation: Any, attempt: Attempt, now: int) -> Any:
        if attempt.code == STREAM_LOST and now < situation.job.useful_until:
            return Plan(AttemptReason.PROVIDER_FAILED)
        return before(situation, attempt, now)

    return swap(before, anew)


PEOPLE_MISTAKES: dict[str, tuple[Callable[[], list[Undo]], ...]] = {
    "acts": (
        act_without_asking,
        call_again_after_a_crash,
        call_before_the_commit,
        take_silence_for_a_no,
        believe_the_first_lookup,
        let_one_stand_for_two,
        keep_approvals_after_an_edit,
        let_the_requester_decide,
        hand_a_review_to_whom_its_requester_names,
        decide_on_what_was_not_shown,
        trust_the_row_at_dispatch,
        trust_who_left,
        act_on_a_rejection,
        show_before_the_release,
        ignore_the_kill_switch,
        only_tell_of_an_undo,
        take_any_word_of_a_policy_for_yes,
        show_again_what_was_sent_back,
        lose_the_note,
    ),
    "chats": (
        forget_what_was_said,
        say_everything_twice,
        buy_talk_in_the_background,
        buy_a_lost_talk_again,
    ),
}
