"""What a run cost: exact where a price is known, and never a guess."""

import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from backlane.core.outcome import Answer
from backlane.provider.prices import price
from backlane.provider.wire import observed

NOVEMBER = 1_795_450_000_000
BEFORE_TIERS = 1_788_220_800_000  # 2026-09-01: the price data has no tiers but the standard one
SAMPLES = Path(__file__).parent.parent / "samples"


def answer(usage: Any = None, *, model: str | None = "gpt-6-astra", **more: Any) -> Answer:
    usage = {"input_tokens": 1000, "output_tokens": 100} if usage is None else usage
    return Answer("resp_1", "completed", usage=usage, model=model, **more)


def tokens(inputs: Any, outputs: Any, **details: Any) -> dict[str, Any]:
    return {"input_tokens": inputs, "output_tokens": outputs, "input_tokens_details": details}


def test_cached_and_cache_writing_tokens_are_part_of_the_input() -> None:
    counted = tokens(10_000, 2_000, cached_tokens=4_000, cache_write_tokens=1_000)
    found = price(answer(counted, service_tier="default"), NOVEMBER)
    assert found.amount == Decimal("0.1665")
    assert found.basis.startswith("genai-prices ") and found.basis.endswith(" gpt-6-astra default")


@pytest.mark.parametrize(
    ("tier", "amount"),
    [(None, "0.015"), ("default", "0.015"), ("flex", "0.0075"), ("priority", "0.03"), ("fast", "0.03")],
)
def test_the_tier_the_response_reports_sets_the_price(tier: str | None, amount: str) -> None:
    assert price(answer(service_tier=tier), NOVEMBER).amount == Decimal(amount)


@pytest.mark.parametrize("tier", ["ultrafast", "scale", "auto", "batch", "new"])
def test_a_tier_without_a_price_of_its_own_is_unpriced(tier: str) -> None:
    found = price(answer(service_tier=tier), NOVEMBER)
    assert found.amount is None and f"tier {tier}" in found.basis


def test_a_tier_that_the_model_or_the_date_does_not_have_is_not_silently_standard() -> None:
    assert price(answer(model="gpt-4o", service_tier="flex"), NOVEMBER).amount is None
    assert price(answer(service_tier="flex"), BEFORE_TIERS).amount is None
    assert price(answer(service_tier="default"), BEFORE_TIERS).amount == Decimal("0.015")


def test_web_searches_are_charged_where_their_price_is_known() -> None:
    assert price(answer(web_searches=3), NOVEMBER).amount == Decimal("0.045")
    assert price(answer(model="gpt-6-cyber", web_searches=3), NOVEMBER).amount is None
    assert price(answer(model="gpt-6-cyber"), NOVEMBER).amount == Decimal("0.03")


@pytest.mark.parametrize(
    ("model", "amount"), [("sim-mini", "0.00012482"), ("sim-pro", "0.0024964"), ("nobody-knows", None)]
)
def test_the_simulators_models_have_prices_and_unknown_ones_have_none(model: str, amount: str | None) -> None:
    counted = tokens(1000, 50, cached_tokens=2)
    found = price(answer(counted, model=model), NOVEMBER)
    assert found.amount == (None if amount is None else Decimal(amount))


@pytest.mark.parametrize(
    "usage",
    [
        {},
        tokens(None, 1),
        tokens("10", 1),
        tokens(True, 1),
        tokens(-1, 1),
        tokens(10**30, 1),
        tokens(10, 1, cached_tokens=11),
        tokens(10, 1, cached_tokens=6, cache_write_tokens=6),
        tokens(10, 1, cached_tokens="many"),
        {"input_tokens": 10, "output_tokens": 1, "input_tokens_details": "none"},
    ],
)
@pytest.mark.parametrize("model", ["gpt-6-astra", "sim-mini"])
def test_usage_that_does_not_add_up_is_unpriced_and_never_zero(usage: Any, model: str) -> None:
    found = price(answer(usage, model=model), NOVEMBER)
    assert found.amount is None and found.basis.startswith("unpriced: ")


def test_no_usage_and_no_model_are_unpriced() -> None:
    assert price(Answer("resp_1", "canceled", model="gpt-6-astra"), NOVEMBER).amount is None
    assert price(answer(model=None), NOVEMBER).amount is None


def test_an_amount_is_exact_to_ten_decimals() -> None:
    assert str(price(answer(tokens(1_000_000, 0), model="gpt-6-cyber"), NOVEMBER).amount) == "20"
    assert price(answer(tokens(1, 0), model="sim-mini"), NOVEMBER).amount == Decimal("0.0000001")


def test_a_recorded_research_run_is_priced_with_its_search() -> None:
    body = json.loads((SAMPLES / "response.completed.research_citations.json").read_text())
    outcome: Any = observed(body, body["id"], None)
    fresh, cached, written = 41250 - 12000 - 4096, 12000, 4096
    tokens_cost = Decimal(fresh * 10 + cached * 1 + 3120 * 50) + written * Decimal("12.5")
    assert price(outcome.answer, NOVEMBER).amount == tokens_cost / 1_000_000 + Decimal("0.01")
