"""One wrapper over the price data: what a run cost, or that nobody knows. Unknown is unpriced, never zero."""

from datetime import UTC, datetime
from decimal import Decimal
from importlib.metadata import version
from typing import Any

from backlane.core.outcome import Answer
from backlane.core.ports import Price

# USD per million tokens: input, cached input, output. Looked up before the price data.
OVERRIDES: dict[str, tuple[Decimal, Decimal, Decimal]] = {
    "sim-mini": (Decimal("0.10"), Decimal("0.01"), Decimal("0.50")),
    "sim-pro": (Decimal("2.00"), Decimal("0.20"), Decimal("10.00")),
}
# Tiers the price data knows by name; with another one it would silently give the standard price.
_TIERS = frozenset({"default", "flex", "priority", "fast", "batch"})
_PLACES = Decimal("0.0000000001")


def _count(usage: dict[str, Any], *path: str) -> int:
    value: Any = usage
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType]
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else 0


def _exact(amount: Decimal) -> Decimal:
    rounded = amount.quantize(_PLACES).normalize()
    return rounded if rounded != 0 else Decimal("0")


def price(answer: Answer, at: int) -> Price:
    """What a run cost by the tier its response reports; `at` is milliseconds since 1970 UTC."""
    if answer.usage is None:
        return Price(None, "unpriced: the provider reported no usage")
    if answer.model is None:
        return Price(None, "unpriced: the provider named no model")
    inputs, outputs = _count(answer.usage, "input_tokens"), _count(answer.usage, "output_tokens")
    cached = min(inputs, _count(answer.usage, "input_tokens_details", "cached_tokens"))
    tier = answer.service_tier or "default"
    own = OVERRIDES.get(answer.model)
    if own is not None:
        million = Decimal(1_000_000)
        amount = ((inputs - cached) * own[0] + cached * own[1] + outputs * own[2]) / million
        return Price(_exact(amount), f"override {answer.model} {tier}")
    if tier not in _TIERS:
        return Price(None, f"unpriced: no price is known for tier {tier[:40]}")
    return _from_data(answer, at, tier)


def _from_data(answer: Answer, at: int, tier: str) -> Price:
    import genai_prices

    assert answer.usage is not None and answer.model is not None
    usage = genai_prices.Usage(
        input_tokens=_count(answer.usage, "input_tokens"),
        cache_read_tokens=_count(answer.usage, "input_tokens_details", "cached_tokens"),
        cache_write_tokens=_count(answer.usage, "input_tokens_details", "cache_write_tokens"),
        output_tokens=_count(answer.usage, "output_tokens"),
        **({"web_searches": answer.web_searches} if answer.web_searches else {}),
    )
    try:
        found = genai_prices.calc_price(
            usage,
            answer.model,
            provider_id="openai",
            genai_request_timestamp=datetime.fromtimestamp(at / 1000, UTC),
            price_context=None if tier == "default" else {"service_tier": tier},
        )
    except (LookupError, ValueError):
        return Price(None, f"unpriced: no price is known for model {answer.model[:80]}")
    basis = f"genai-prices {version('genai-prices')} {answer.model[:80]} {tier}"
    return Price(_exact(Decimal(found.total_price)), basis)
