"""Where the provider's regions are. Data stays in a region only if every call goes to that region's own host.

Pure: an address is chosen or judged, nothing is asked. Hosts as in the provider's guide to data residency.
"""

from urllib.parse import urlsplit

_HOST = "api.openai.com"
GLOBAL = "global"
# Known by name; another one is taken only together with its address, so that a slip of the pen is noticed.
KNOWN = ("us", "eu", "ae", "au", "ca", "gb", "in", "jp", "kr", "sg")


def regional_url(region: str, base_url: str | None) -> str:
    """The address for an account of this region: the region's host, or the given one unless it is another's.

    Raises ValueError, in words that name the mend, for an address of the provider outside the region, and for
    an unknown region without one.
    """
    own = f"https://{_host(region)}/v1"
    if base_url is None:
        if region not in (*KNOWN, GLOBAL):
            known = ", ".join((*KNOWN, GLOBAL))
            raise ValueError(
                f"{region!r} is no region that is known ({known}); mend it, or give base_url too"
            )
        return own
    elsewhere = region_of(base_url)
    if elsewhere is not None and elsewhere != region:
        host = urlsplit(base_url).hostname
        raise ValueError(f"{host} is not in region {region!r}; leave base_url out, or write {own}")
    return base_url


def region_of(base_url: str | None) -> str | None:
    """The region that an address of the provider's own is in; None for any other server, which nobody here knows."""
    host = _HOST if base_url is None else (urlsplit(base_url).hostname or "").rstrip(".")
    if host == _HOST:
        return GLOBAL
    region, _, rest = host.partition(".")
    return region if rest == _HOST else None


def _host(region: str) -> str:
    return _HOST if region == GLOBAL else f"{region}.{_HOST}"
