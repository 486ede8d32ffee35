"""One wrapper over the price data: what a run cost, or that nobody knows. Unknown is unpriced, never zero."""

from collections.abc import Mapping
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any, NamedTuple, cast

from backlane.core.outcome import Answer
from backlane.core.price import Price

# USD per million tokens: input, cached input, output. Looked up before the price data.
OVERRIDES: dict[str, tuple[Decimal, Decimal, Decimal]] = {
    "sim-mini": (Decimal("0.10"), Decimal("0.01"), Decimal("0.50")),
    "sim-pro": (Decimal("2.00"), Decimal("0.20"), Decimal("10.00")),
}
# What a completion window costs of the standard price of model tokens (the provider's background guide).
WINDOW_FACTORS = {"2h": Decimal("0.70"), "8h": Decimal("0.60")}
_PLACES = Decimal("0.0000000001")
_TOKENS_AT_MOST = 10**12


class _Counts(NamedTuple):
    """Tokens of one run; `inputs` includes cached and cache-writing ones."""

    inputs: int
    cached: int
    written: int
    outputs: int


def _count(held: Mapping[str, Any], name: str, *, absent: int | None) -> int | None:
    value = held.get(name)
    if value is None:
        return absent
    return value if type(value) is int and 0 <= value <= _TOKENS_AT_MOST else None


def _counts(usage: Mapping[str, Any]) -> _Counts | None:
    """The token counts, or None for usage that does not add up: a guess would be a wrong price."""
    raw: Any = usage.get("input_tokens_details")
    if raw is not None and not isinstance(raw, Mapping):
        return None
    details = cast(Mapping[str, Any], raw or {})
    inputs, outputs = _count(usage, "input_tokens", absent=None), _count(usage, "output_tokens", absent=None)
    cached = _count(details, "cached_tokens", absent=0)
    written = _count(details, "cache_write_tokens", absent=0)
    if inputs is None or outputs is None or cached is None or written is None or cached + written > inputs:
        return None
    return _Counts(inputs, cached, written, outputs)


def _exact(amount: Decimal) -> Decimal:
    """Ten decimals at most, without trailing zeros."""
    return Decimal(format(amount.quantize(_PLACES).normalize(), "f"))


def price(answer: Answer, at: int, window: str = "soonest") -> Price:
    """What a run cost by the tier its response reports and its window; `at` is milliseconds since 1970 UTC."""
    if answer.usage is None:
        return Price(None, "unpriced: the provider reported no usage")
    if answer.model is None:
        return Price(None, "unpriced: the provider named no model")
    counts = _counts(answer.usage)
    if counts is None:
        return Price(None, "unpriced: the provider's usage does not add up")
    tier = answer.service_tier or "default"
    if window != "soonest" and (window not in WINDOW_FACTORS or tier != "default"):
        return Price(None, f"unpriced: no price is known for window {window[:10]} in tier {tier[:40]}")
    own = OVERRIDES.get(answer.model)
    if own is None:
        when = datetime.fromtimestamp(at / 1000, UTC)
        return _from_data(answer, answer.model[:80], counts, when, window)
    fresh, cached, output = own
    cost = (counts.inputs - counts.cached) * fresh + counts.cached * cached + counts.outputs * output
    cost *= WINDOW_FACTORS.get(window, 1)
    return Price(_exact(cost / 1_000_000), f"override {answer.model} {tier}{_told(window)}")


def _told(window: str) -> str:
    return f", window {window}: {WINDOW_FACTORS[window]} of the tokens" if window in WINDOW_FACTORS else ""


def _from_data(answer: Answer, model: str, counts: _Counts, at: datetime, window: str) -> Price:
    import genai_prices

    tier = answer.service_tier or "default"
    searches: dict[str, Any] = {"web_searches": answer.web_searches} if answer.web_searches else {}
    usage = genai_prices.Usage(
        input_tokens=counts.inputs,
        cache_read_tokens=counts.cached,
        cache_write_tokens=counts.written,
        output_tokens=counts.outputs,
        **searches,
    )
    try:
        found: Any = genai_prices.calc_price(
            usage,
            model,
            provider_id="openai",
            genai_request_timestamp=at,
            price_context={"service_tier": tier},
        )
    except (LookupError, ValueError):
        return Price(None, f"unpriced: no price is known for model {model}")
    if tier != "default" and not _knows_tier(found.model.price_variants, tier, at):
        return Price(None, f"unpriced: no price is known for tier {tier[:40]} of model {model}")
    if searches and getattr(found.model_price, "web_searches_kcount", None) is None:
        return Price(None, f"unpriced: no price is known for web searches of model {model}")
    cost: Decimal = found.input_price + found.output_price
    rest = found.total_price - cost  # what is no model token, such as web searches, has no discount
    cost = cost * WINDOW_FACTORS.get(window, 1) + rest
    return Price(_exact(cost), f"genai-prices {genai_prices.__version__} {model} {tier}{_told(window)}")


def _knows_tier(variants: Any, tier: str, at: datetime) -> bool:
    """Whether the data has a price of its own for the tier; without one it gives the standard price silently."""
    return any(
        variant.when == {"service_tier": tier}
        and (variant.constraint is None or variant.constraint.active(at))
        for variant in variants or ()
    )
