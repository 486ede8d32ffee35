"""Declaring policies: faults at import, policies of all types beside a type's own, what is too late to be an answer."""

import time
from collections.abc import Callable
from typing import Any

import pytest

from backlane import App, Request, judging, policy
from backlane.core.policy import Answer, Over, PolicyJob
from backlane.errors import DeclarationError
from backlane.policy import Answers, Asked
from tests.values import Note


def declared(app: App, name: str = "one") -> Any:
    @app.job(name, authority="read_only")
    def one(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="", input=inputs.text)

    return one


def asked(over: Over = Over.ACTION, **more: Any) -> Asked:
    job = PolicyJob(
        id="job_1", workspace="ws_1", workspace_name="main", type="one", authority="low_risk_write",
        submitted_by="ana", user=None, account="acme", inputs=Note(text="hello"), metadata={},
    )  # fmt: skip
    return Asked(over=over, job=job, **more)


def allow(asked: Asked) -> Answers:
    return policy.Allow()


def refuse(asked: Asked) -> Answers:
    return policy.Refuse("never")


async def test_the_policies_of_all_types_stand_beside_a_types_own() -> None:
    app = App()
    before = declared(app, "before")
    before.policy(allow)
    alone = before.type.rules.version(Over.ACTION)
    app.policy(over=["action", "output"])(refuse)
    after = declared(app, "after")
    for one in (before, after):
        for over in Over:
            said = await one.type.rules.judge(asked(over))
            assert said is not None
            assert (said.answer, said.policy, said.reason) == (Answer.REFUSE, "refuse", "never")
    assert before.type.rules.version(Over.ACTION) not in (alone, after.type.rules.version(Over.ACTION), None)
    assert before.type.rules.names(Over.ACTION) == ["refuse", "allow"]
    assert await declared(App()).type.rules.judge(asked()) is None


async def test_the_strictest_answer_stands_with_the_most_it_asks_for() -> None:
    one = declared(App())
    for name, answer in (
        ("a", policy.Review("two", quorum=2)),
        ("b", policy.Review("one")),
        ("c", policy.Allow()),
    ):

        def said(asked: Asked, answer: Answers = answer) -> Answers:
            return answer

        said.__name__ = name
        one.policy(said)
    found = await one.type.rules.judge(asked())
    assert (found.answer, found.reason, found.quorum) == (Answer.REVIEW, "two", 2)


@pytest.mark.parametrize("turned", [False, True])
async def test_two_reviewers_and_an_admin_are_both_asked_for_whoever_asks_first(turned: bool) -> None:
    one = declared(App())
    answers = [policy.Review("large", quorum=2), policy.Review("abroad", role="admin"), policy.Allow()]
    for number, answer in enumerate(answers[::-1] if turned else answers):

        def said(asked: Asked, answer: Answers = answer) -> Answers:
            return answer

        said.__name__ = f"policy_{number}"
        one.policy(said)
    found = await one.type.rules.judge(asked())
    assert (found.answer, found.reason, found.quorum, found.role) == (Answer.REVIEW, "large", 2, "admin")
    own = policy.strictest(*(answers[::-1] if turned else answers))
    assert isinstance(own, policy.Review) and (own.quorum, own.role) == (2, "admin")
    assert isinstance(policy.strictest(*answers, policy.Refuse("no")), policy.Refuse)


async def test_a_policy_that_is_late_is_a_review(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(judging, "ANSWERS_WITHIN", 0.05)
    one = declared(App())

    @one.policy
    def late(asked: Asked) -> Answers:
        time.sleep(0.3)
        return policy.Allow()

    said = await one.type.rules.judge(asked())
    assert (said.answer, said.reason) == (Answer.REVIEW, "the policy did not answer in time")


@pytest.mark.parametrize(
    ("more", "kept"),
    [({"quorum": True}, (None, None)), ({"quorum": "2"}, (None, None)), ({"role": "anyone"}, (None, None)),
     ({"quorum": 3, "role": "admin"}, (3, "admin"))],
)  # fmt: skip
async def test_a_review_asks_for_more_only_in_words_that_are_known(more: Any, kept: Any) -> None:
    one = declared(App())

    @one.policy
    def more_people(asked: Asked) -> Answers:
        return policy.Review("x" * 9000, **more)

    said = await one.type.rules.judge(asked())
    assert ((said.quorum, said.role), len(said.reason)) == (kept, 500)


async def _async(asked: Asked) -> Answers:
    return policy.Allow()


def _two(asked: Asked, more: str) -> Answers:
    return policy.Allow()


@pytest.mark.parametrize(
    ("declare", "fault"),
    [
        (lambda one: one.policy(_async), "must not be async"),
        (lambda one: one.policy(_two), "must take"),
        (lambda one: one.policy(over="inputs")(allow), "among action, output"),
        (lambda one: one.policy(over=[])(allow), "action, output or both"),
        (lambda one: one.policy(over=3)(allow), "action, output or both"),
        (lambda one: one.policy("allow"), "plain function"),
        (lambda one: (one.policy(allow), one.policy(allow)), "two policies named"),
    ],
)
def test_a_wrong_declaration_is_refused_at_import(declare: Callable[[Any], Any], fault: str) -> None:
    for one in (declared(App()), App()):
        with pytest.raises(DeclarationError, match=fault):
            declare(one)
