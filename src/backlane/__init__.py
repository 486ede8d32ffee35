"""Backlane: a durable, product-owned job system for long-running AI work. The public names, nothing else."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from backlane.actions import Receipt
    from backlane.app import App
    from backlane.async_client import AsyncClient
    from backlane.client import Client
    from backlane.core.ports import JobView, ToolView
    from backlane.declaring import Review
    from backlane.errors import ActionFailed, BacklaneError, CheckFailed, ToolFailed
    from backlane.fields import File, Image, Sensitive
    from backlane.request import Request

__version__ = "0.1.0"
__all__ = [
    "ActionFailed",
    "App",
    "AsyncClient",
    "BacklaneError",
    "CheckFailed",
    "Client",
    "File",
    "Image",
    "JobView",
    "Receipt",
    "Request",
    "Review",
    "Sensitive",
    "ToolFailed",
    "ToolView",
]

# Read on first use, so that `backlane --help` need not load what declares job types.
_HOMES = {
    "Receipt": "actions",
    "App": "app",
    "Review": "declaring",
    "Client": "client",
    "AsyncClient": "async_client",
    "BacklaneError": "errors",
    "ActionFailed": "errors",
    "CheckFailed": "errors",
    "ToolFailed": "errors",
    "File": "fields",
    "Image": "fields",
    "Sensitive": "fields",
    "Request": "request",
    "JobView": "core.ports",
    "ToolView": "core.ports",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'backlane' has no attribute {name!r}")
    return getattr(import_module(f"backlane.{home}"), name)
