"""What each failure code means to people: its cause, its sentence, whether a retry helps, what to do. Pure."""

from dataclasses import dataclass
from enum import StrEnum


class Cause(StrEnum):
    """The one cause of a failure."""

    INPUT = "input"
    PROVIDER = "provider"
    TOOL = "tool"
    POLICY = "policy"
    TIMEOUT = "timeout"
    BUDGET = "budget"
    REVIEW = "review"
    DESIGN = "design"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code means to people."""

    cause: Cause
    sentence: str
    retryable: bool
    human_needed: bool
    next_steps: tuple[str, ...]


_AGAIN = ("retry",)
_CHANGE_INPUT = ("change the inputs", "retry")
_ASK_OPERATOR = ("ask an operator",)
_ASK_DEVELOPER = ("ask the developer of the job type",)


def _m(cause: Cause, sentence: str, steps: tuple[str, ...], *, again: bool, human: bool) -> Meaning:
    return Meaning(cause, sentence, again, human, steps)


_P, _I, _D = Cause.PROVIDER, Cause.INPUT, Cause.DESIGN

# How jobs end by their actions.
ACTION_MEANINGS: dict[str, Meaning] = {
    "action_failed": _m(
        Cause.TOOL,
        "An approved action was refused by the outside: it surely did not happen.",
        ("read the action", "retry"),
        again=True,
        human=True,
    ),
    "action_did_not_happen": _m(
        Cause.TOOL,
        "An approved action did not happen; it is not carried out again without a new approval.",
        ("retry",),
        again=True,
        human=True,
    ),
    "action_unreadable": _m(
        Cause.TOOL,
        "What a proposed action points at could not be read, so nobody could be asked to approve it.",
        ("retry", *_ASK_DEVELOPER),
        again=True,
        human=True,
    ),
    "undone": _m(
        Cause.REVIEW,
        "An approved action was taken back before it was carried out.",
        _AGAIN,
        again=True,
        human=False,
    ),
    "policy_refused": _m(
        Cause.POLICY,
        "The product's own policy refuses what was to be done or released.",
        ("read what the policy said", *_CHANGE_INPUT),
        again=True,
        human=True,
    ),
    "proposals_broke": _m(
        Cause.INTERNAL,
        "The job type could not say which actions follow from the result.",
        _ASK_DEVELOPER,
        again=True,
        human=True,
    ),
}

# Codes of runs that ended failed at the provider: openai 3.54, types/responses/response_error.py.
MEANINGS: dict[str, Meaning] = {
    "server_error": _m(_P, "The provider had an error while it worked.", _AGAIN, again=True, human=False),
    "rate_limit_exceeded": _m(
        _P, "The provider stopped the run because of a rate limit.", _AGAIN, again=True, human=False
    ),
    "vector_store_timeout": _m(
        _P, "The provider's file search did not answer in time.", _AGAIN, again=True, human=False
    ),
    "invalid_prompt": _m(
        _I, "The provider refused the prompt as it stands.", _CHANGE_INPUT, again=False, human=True
    ),
    "data_residency_mismatch": _m(
        _D, "The request does not fit the account's data region.", _ASK_OPERATOR, again=False, human=True
    ),
    "content_filter": _m(
        Cause.POLICY, "The provider's content filter stopped the answer.", _CHANGE_INPUT, again=False, human=True
    ),
    "policy": _m(
        Cause.POLICY, "The provider's usage policy does not allow this.", _CHANGE_INPUT, again=False, human=True
    ),
    "refusal": _m(
        Cause.POLICY, "The model declined to do this.", _CHANGE_INPUT, again=False, human=True
    ),
    "image": _m(_I, "The provider could not use an image in the inputs.", _CHANGE_INPUT, again=False, human=True),
    "file": _m(_I, "The provider could not use a file in the inputs.", _CHANGE_INPUT, again=False, human=True),
    "file_refused": _m(_I, "The provider did not take a file of the inputs.", _CHANGE_INPUT, again=False, human=True),
    "file_missing": _m(
        _D, "The job type names a file that is not among the job's inputs.", _ASK_DEVELOPER, again=False, human=True
    ),
    "file_gone": _m(
        _P, "The provider lost a file of the inputs each time it was uploaded.", _AGAIN, again=True, human=False
    ),
    "incomplete": _m(
        _P,
        "The answer stopped before its end; what was written is kept as partial output.",
        ("read the partial output", "retry", "ask the developer to raise max_output_tokens"),
        again=True,
        human=False,
    ),
    "run_failed": _m(_P, "The provider's run failed.", _AGAIN, again=True, human=False),
    "stopped_at_provider": _m(
        _P, "The run was canceled at the provider by someone else.", _AGAIN, again=True, human=False
    ),
    "result_gone": _m(
        _P,
        "The provider no longer has the result; the run may have been paid for.",
        ("retry", "ask an operator whether the worker was down"),
        again=True,
        human=False,
    ),
    "result_too_large": _m(
        _P,
        "The provider's reply is larger than is read; its beginning is kept, truncated, and the run was paid for.",
        ("read the partial output", "ask for less in one job"),
        again=True,
        human=True,
    ),
    "request_refused": _m(
        _D, "The provider does not accept this request.", _ASK_DEVELOPER, again=False, human=True
    ),
    "model_not_found": _m(
        _D, "The provider does not offer this model (any more).", _ASK_DEVELOPER, again=False, human=True
    ),
    "attempts_used_up": _m(
        _P, "The provider failed as often as the job type allows.", _AGAIN, again=True, human=False
    ),
    "submission_given_up": _m(
        _P,
        "Nobody could tell whether the provider took the request, and a person gave it up; "
        "a run may have been paid for.",
        _AGAIN,
        again=True,
        human=False,
    ),
    "max_cost_reached": _m(
        Cause.BUDGET, "The job's cost limit is reached.", ("raise max_cost and retry",), again=True, human=True
    ),
    "invalid_output": _m(
        _P,
        "The answer does not have the form the job type asks for; its text is kept.",
        ("read the partial output", "retry"),
        again=True,
        human=False,
    ),
    "check_failed": _m(
        _D,
        "The answer did not pass the job type's check.",
        ("read the check's report", "retry"),
        again=True,
        human=True,
    ),
    "check_error": _m(
        Cause.INTERNAL, "The job type's check broke.", _ASK_DEVELOPER, again=True, human=True
    ),
    "type_changed": _m(
        _D,
        "The job type was changed and no longer accepts these inputs.",
        ("submit it anew with inputs of the new version",),
        again=False,
        human=True,
    ),
    "request_not_built": _m(
        _D, "The job type could not build its request from these inputs.", _ASK_DEVELOPER, again=False, human=True
    ),
    "previous_response_not_found": _m(
        _D,
        "The provider no longer has the conversation that this request goes on from.",
        _ASK_DEVELOPER,
        again=False,
        human=True,
    ),
    "tool_not_available": _m(
        Cause.TOOL, "The model called a tool that cannot be run.", _ASK_DEVELOPER, again=False, human=True
    ),
    "account_changed": _m(
        Cause.INTERNAL, "Its provider account was simulated at its submit and is real now, or vice versa.",
        _AGAIN, again=True, human=True),
    "tool_misused": _m(
        Cause.TOOL,
        "The model kept calling tools that do not exist, or with arguments that do not fit.",
        ("read what it was told", "retry", *_ASK_DEVELOPER),
        again=True,
        human=True,
    ),
    "tool_failed": _m(
        Cause.TOOL,
        "The job type's tools kept failing or took too long.",
        ("read what the model was told", "retry", *_ASK_DEVELOPER),
        again=True,
        human=True,
    ),
    "tool_budget": _m(
        Cause.TOOL,
        "The model asked for more calls of tools than the job type allows.",
        ("retry", "ask the developer to raise max_tool_calls"),
        again=True,
        human=True,
    ),
    "turns_used_up": _m(
        Cause.TOOL,
        "The model took as many turns as the job type allows and gave no answer.",
        ("retry", "ask the developer to raise max_turns"),
        again=True,
        human=True,
    ),
    "approvals_refused": _m(
        Cause.TOOL,
        "The model kept asking to use a remote tool that jobs of this type may not use.",
        ("ask the developer to take the tool away or to allow it without approval",),
        again=True,
        human=True,
    ),
    "worker_crashed": _m(
        Cause.INTERNAL,
        "This job stopped its worker three times in a row and was set aside.",
        _ASK_DEVELOPER,
        again=True,
        human=True,
    ),
    "rejected": _m(Cause.REVIEW, "A reviewer rejected it.", _CHANGE_INPUT, again=True, human=False),
    "review_expired": _m(Cause.REVIEW, "Nobody decided its review in time.", _AGAIN, again=True, human=False),
} | ACTION_MEANINGS  # fmt: skip
