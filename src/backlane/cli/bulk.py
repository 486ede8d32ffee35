"""One verb over many jobs: backlane bulk resolve --choice give_up --phase submission_unknown."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from cyclopts import Parameter

from backlane.cli.jobs import client_here
from backlane.cli.printing import put, put_json, say
from backlane.errors import SettingsError


def bulk(
    action: Literal["cancel", "retry", "resolve", "escalate", "archive", "unarchive", "hold", "release"],
    ids: Annotated[list[str] | None, Parameter(negative=())] = None,
    *,
    reason: str,
    choice: Literal["run_again", "give_up"] | None = None,
    status: str | None = None,
    phase: str | None = None,
    type: str | None = None,  # noqa: A002 - the contract's name
    account: str | None = None,
    user: str | None = None,
    dry_run: Annotated[bool, Parameter(negative=())] = False,
    as_json: Annotated[bool, Parameter(name="--json", negative=())] = False,
) -> int:
    """One verb over many jobs: backlane bulk resolve --phase submission_unknown --choice give_up --reason "outage"

    Parameters
    ----------
    action: the verb.
    ids: the jobs; without them they are found by the filters below, at most 200 at a time.
    reason: why; kept with each.
    choice: with resolve: run again or give up.
    status: one or more statuses, separated by commas.
    phase: only jobs in this phase.
    type: only jobs of this type.
    account: only jobs of this customer reference.
    user: only jobs for this user.
    dry_run: only say what would be allowed.
    as_json: print JSON.
    """
    told = {"status": status, "phase": phase, "type": type, "account": account, "user": user}
    found = {name: value for name, value in told.items() if value is not None}
    if bool(ids) == bool(found):
        raise SettingsError("bulk: name jobs, or find them by --status, --phase, --type, --account or --user")
    options: dict[str, Any] = {"dry_run": dry_run}
    options |= {"choice": choice} if choice else {}
    options |= {"filter": found} if found else {}
    with client_here() as client:
        answer = client.bulk(action, reason, ids or None, **options)
    if as_json:
        put_json(answer)
    else:
        _print(answer)
    return 0 if answer["refused"] == 0 else 1


def _print(answer: Mapping[str, Any]) -> None:
    for row in answer["data"]:
        told = row["status"] if row["ok"] else f"{row['error']['code']}: {row['error']['detail']}"
        put(f"{row['job']}  {told}")
    done = "would be allowed" if answer["dry_run"] else "done"
    more = "; there are more, ask again" if answer["more"] else ""
    say(f"{answer['done']} {done}, {answer['refused']} refused{more}")
