"""An account that may not go on: its key is revoked, its region forbidden, its money spent. It holds until lifted."""

from backlane.simulator.faults import Fault
from backlane.simulator.protocol import Refusal
from backlane.simulator.switches import Switches, changed

_WHERE = "You can find your API key at https://platform.openai.com/account/api-keys."
_EVERY_CALL = {
    "revoked": Refusal(401, f"Incorrect API key provided: sk-***. {_WHERE}", code="invalid_api_key"),
    "forbidden": Refusal(
        403,
        "Country, region, or territory not supported",
        code="unsupported_country_region_territory",
        kind="request_forbidden",
    ),
}
_CREATES = {
    "quota": Refusal(
        429,
        "You exceeded your current quota, please check your plan and billing details.",
        code="insufficient_quota",
        kind="insufficient_quota",
    ),
    "billing": Refusal(
        429,
        "The organization has no credits left.",
        code="credit_balance_exhausted",
        kind="insufficient_quota",
    ),
}


def stop_of(switches: Switches, call: str) -> Refusal | None:
    """What the account's state answers this call with; what was bought may still be read without money."""
    if switches.account in _EVERY_CALL:
        return _EVERY_CALL[switches.account]
    return _CREATES.get(switches.account) if call == "create" else None


def stopped_by(fault: Fault | None, switches: Switches) -> Switches:
    """The switches after this fault: `revoke_key` turns the account's state, any other changes nothing."""
    if fault is None or fault.name != "revoke_key":
        return switches
    return changed(switches, {"account": fault.values.get("account", "revoked")})
