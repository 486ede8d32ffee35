"""What commands print: data on stdout, talk on stderr, and no control bytes of a model on anybody's terminal."""

import json
import sys
from collections.abc import Mapping
from typing import Any

from backlane.cli.visible import in_line, visible


def put(text: str) -> None:
    """One line of data: whatever it quotes begins no line of its own."""
    sys.stdout.write(in_line(text) + "\n")
    sys.stdout.flush()


def put_lines(text: str) -> None:
    """Data of more than one line: a result, or a card whose lines are made safe each by itself."""
    sys.stdout.write(visible(text) + "\n")
    sys.stdout.flush()


def put_json(value: Any) -> None:
    """Data as JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True, indent=2) + "\n")
    sys.stdout.flush()


def put_line(value: Any) -> None:
    """Data as one line of JSON."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """One line of talk."""
    sys.stderr.write(in_line(text) + "\n")
    sys.stderr.flush()


def put_text(text: str) -> None:
    """A piece of text, where the last one ended."""
    sys.stdout.write(visible(text))
    sys.stdout.flush()


def job_line(job: Mapping[str, Any]) -> str:
    """One job in one line."""
    phase = f"/{job['phase']}" if job["phase"] else ""
    simulated = "simulated  " if job["simulated"] else ""
    return f"{job['id']}  {job['status'] + phase:<28} {job['type']:<20} {simulated}{in_line(job['summary'])[:60]}"


def job_card(job: Mapping[str, Any]) -> str:
    """One job, as somebody who waits for it wants to read it."""
    phase = f"/{job['phase']}" if job["phase"] else ""
    simulated = "  (simulated)" if job["simulated"] else ""
    lines = [f"{job['id']}  {job['status']}{phase}{simulated}", f"  {job['outcome']['headline']}"]
    if job["waiting_on"]:
        lines.append(f"  waiting on   {job['waiting_on']}")
    lines.append(f"  type         {job['type']} ({job['authority']})")
    if job["window"] != "soonest":
        lines.append(
            f"  window       {job['window']}, target {job['timing']['window_target'] or 'not yet known'}"
        )
    lines.append(f"  summary      {job['summary']}")
    cost = job["cost"]
    if cost["settled"] is not None or cost["unpriced"]:
        unpriced = f", {cost['unpriced']} unpriced" if cost["unpriced"] else ""
        mark = ", simulated" if job["simulated"] else ""
        lines.append(f"  cost         {cost['settled'] or 'unknown'} {cost['currency']}{unpriced}{mark}")
    for attempt in job["attempts"]:
        told = attempt["provider_response_id"] or attempt["code"] or ""
        lines.append(f"  attempt {attempt['number']}    {attempt['state']} ({attempt['reason']}) {told}")
    for artifact in job["artifacts"]:
        size = "closed" if artifact["bytes"] is None else f"{artifact['bytes']} B"
        lines.append(f"  {artifact['kind']:<12} {artifact['name']} ({size})  {artifact['id']}")
    failure = job["failure"]
    if failure:
        lines.append(f"  cause        {failure['cause']} ({failure['code']})")
    if job["outcome"]["next_steps"]:
        lines.append(f"  next         {', '.join(job['outcome']['next_steps'])}")
    return "\n".join(map(in_line, lines))


def event_line(event: Mapping[str, Any]) -> str:
    """One event in one line."""
    after = event["data"].get("after")
    place = ""
    if after:
        place = after["status"] + (f"/{after['phase']}" if after["phase"] else "")
    known = ("reason", "code", "verdict", "kind", "choice", "provider_response_id", "amount")
    told = " ".join(
        f"{name}={in_line(str(event['data'][name]))}" for name in known if event["data"].get(name)
    )
    return f"{event['seq']:>4}  {event['at'][11:23]}  {event['type']:<22} {place} {told}".rstrip()
