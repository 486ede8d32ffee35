"""Which ends open a case by themselves: the type's table first, the more exact word first, else the default."""

import pytest

from backlane.core.case import OPENERS, OPENS_BY_DEFAULT, opens_by_itself
from backlane.core.failure import card
from backlane.core.job import Phase, Status


@pytest.mark.parametrize(
    "code", ["check_failed", "server_error", "rejected", "review_expired", "max_cost_reached"]
)
def test_a_failure_opens_none_unless_the_type_says_so(code: str) -> None:
    failure = card(code)
    assert not opens_by_itself({}, Status.FAILED, None, failure)
    assert opens_by_itself({failure["cause"]: True}, Status.FAILED, None, failure)
    assert opens_by_itself({code: True, failure["cause"]: False}, Status.FAILED, None, failure)
    assert not opens_by_itself({code: False, failure["cause"]: True}, Status.FAILED, None, failure)


def test_what_only_a_person_can_find_out_opens_one_by_default() -> None:
    assert opens_by_itself({}, Status.NEEDS_REVIEW, Phase.EFFECT_UNKNOWN, None)
    assert opens_by_itself({}, Status.FAILED, None, card("worker_crashed"))
    assert not opens_by_itself({"worker_crashed": False}, Status.FAILED, None, card("worker_crashed"))
    assert not opens_by_itself({}, Status.NEEDS_REVIEW, Phase.SUBMISSION_UNKNOWN, None)
    assert opens_by_itself({"submission_unknown": True}, Status.NEEDS_REVIEW, Phase.SUBMISSION_UNKNOWN, None)


def test_an_expiry_opens_one_where_the_type_says_so() -> None:
    assert not opens_by_itself({}, Status.EXPIRED, None, None)
    assert opens_by_itself({"expired": True}, Status.EXPIRED, None, None)
    assert not opens_by_itself({"expired": True}, Status.CANCELED, None, None)
    assert not opens_by_itself({"expired": True}, Status.COMPLETED, None, None)
    assert not opens_by_itself({"expired": True}, Status.RUNNING, Phase.MODEL, None)


def test_every_default_is_a_word_a_type_may_use() -> None:
    assert set(OPENS_BY_DEFAULT) <= OPENERS
