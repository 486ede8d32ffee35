"""Values for tests: a job, an attempt, and the types of a small app."""

from typing import Any

from pydantic import BaseModel

from backlane import App, CheckFailed, Request, Review, Sensitive, policy
from backlane.core.job import Attempt, AttemptReason, AttemptState, Gate, Job, Phase, Status

NOW = 1_795_000_000_000
HOUR = 3_600_000


def a_job(**changes: Any) -> Job:
    """A fresh job, as submit makes it."""
    values: dict[str, Any] = {
        "id": "job_1", "workspace": "ws_1", "submitted_by": "ana", "user": None, "account": None, "type": "digest",
        "type_version": "v1", "authority": "read_only", "summary": "a text", "simulated": True,
        "status": Status.QUEUED, "phase": Phase.READY, "phase_since": NOW, "version": 1, "lease_no": 0,
        "lease_state": "free", "leases_lost": 0, "due_at": NOW, "lane": "background", "live": False,
        "window": "soonest", "provider": "openai", "provider_account": "default", "provider_response_id": None,
        "gate": Gate.NONE, "review_state": "not_required",
        "inputs_digest": "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a", "priority": 0,
        "wait_until": None, "useful_until": NOW + HOUR, "deadline": None, "max_cost": None, "tries": 0,
        "ends_as": None, "cancel_asked_at": None, "failure": None, "created_at": NOW, "started_at": None,
        "finished_at": None, "group_id": None, "retry_of": None, "retried_as": None, "continues": None,
        "case_id": None, "archived_at": None, "held": False, "metadata": {}, "lane_reasons": [],
    }  # fmt: skip
    return Job(**{**values, **changes})


def an_attempt(state: AttemptState = AttemptState.PLANNED, **changes: Any) -> Attempt:
    """An attempt of that job."""
    out = state not in (
        AttemptState.PLANNED,
        AttemptState.SENDING,
        AttemptState.UNKNOWN,
        AttemptState.REFUSED,
    )
    values: dict[str, Any] = {
        "id": "att_1", "job_id": "job_1", "workspace": "ws_1", "number": 1, "reason": AttemptReason.FIRST,
        "state": state, "lane": "background", "provider_account": "default",
        "provider_response_id": "resp_1" if out else None, "provider_status": None, "model": "gpt-6-luna",
        "sender": "boot_1", "planned_at": NOW, "sent_at": NOW, "unknown_at": NOW,
        "accepted_at": NOW if out else None, "looked_at": None, "look_at": NOW, "looks": 0, "cancel_sent_at": None,
        "finished_at": None, "code": None, "usage": None,
    }  # fmt: skip
    return Attempt(**{**values, **changes})


class Note(BaseModel):
    """The inputs of the test types."""

    text: str
    secret: Sensitive[str] = ""


class Digest(BaseModel):
    """The output of the test types."""

    summary: str
    themes: list[str]


def a_request(inputs: Note) -> Request:
    """What every test type asks for."""
    return Request(model="gpt-6-luna", instructions="Digest.", input=[inputs.text], output=Digest)


def small_app() -> App:
    """An app with a type for every story."""
    app = App()

    @app.job("digest", authority="read_only")
    def digest(inputs: Note) -> Request:
        """A digest."""
        return a_request(inputs)

    @app.job("checked", authority="read_only")
    def checked(inputs: Note) -> Request:
        return a_request(inputs)

    @checked.check
    def no_bad_words(result: Digest, job: Any) -> dict[str, int]:
        if "bad" in job.inputs.text:
            raise CheckFailed("a bad word")
        return {"themes": len(result.themes)}

    @app.job("plain", authority="read_only", if_unknown="rebuy")
    def plain(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="Summarise.", input=inputs.text)

    @app.job("draft", authority="draft")
    def draft(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("effect", authority="external_effect", review=Review(quorum=1, respond_within="4h"))
    def effect(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("second-look", authority="read_only", if_invalid="review")
    def second_look(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("short", authority="read_only", useful_for="2s")
    def short(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("cheap", authority="read_only", max_cost="0.000001")
    def cheap(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("locked", authority="read_only", who_may_cancel="operator")
    def locked(inputs: Note) -> Request:
        return a_request(inputs)

    add_reviewed_types(app)
    add_looked_after_types(app)
    return app


def add_looked_after_types(app: App) -> None:
    """Types whose bad ends open a case by themselves."""

    @app.job("promised", authority="read_only", useful_for="1s", cases={"expired": True})
    def promised(inputs: Note) -> Request:
        return a_request(inputs)

    @app.job("watched", authority="draft", cases={"review": True, "invalid_output": True})
    def watched(inputs: Note) -> Request:
        return a_request(inputs)


def for_admins(asked: Any) -> Any:
    """What is asked of a policy is for an admin to say."""
    return policy.Review("it promises something", role="admin")


def add_reviewed_types(app: App) -> None:
    """Types whose reviews differ: who decides, how many, along which chain, and whether the requester may."""

    @app.job("pair", authority="draft", review=Review(quorum=2, respond_within="1h", escalate_to=("admin",)))
    def pair(inputs: Note) -> Request:
        return a_request(inputs)

    @pair.check
    def no_bad_themes(result: Digest, job: Any) -> None:
        if "bad" in result.themes:
            raise CheckFailed("a bad theme")

    @app.job("chief", authority="draft", review=Review(role="admin", respond_within="1h"))
    def chief(inputs: Note) -> Request:
        return a_request(inputs)

    # Its chain asks reviewers once more; its policy has every answer decided by an admin.
    @app.job(
        "raised", authority="draft", review=Review(respond_within="1h", escalate_to=("reviewer", "admin"))
    )
    def raised(inputs: Note) -> Request:
        return a_request(inputs)

    raised.policy(over="output")(for_admins)

    @app.job("memo", authority="draft", review=Review(separate=False))
    def memo(inputs: Note) -> Request:
        return Request(model="gpt-6-luna", instructions="Write a memo.", input=inputs.text)
