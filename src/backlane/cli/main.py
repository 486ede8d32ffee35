"""The `backlane` command. Errors are one line with the mend; exit codes are the contract's.

0 ok · 1 failed · 2 usage · 3 not found or not allowed · 4 the service cannot be reached
"""

import os
import sys

import cyclopts

from backlane.cli import (
    actions,
    budgets,
    bulk,
    care,
    decisions,
    export,
    jobs,
    keys,
    lanes,
    messages,
    operate,
    policy,
    reviews,
    run_service,
)
from backlane.cli.printing import say
from backlane.cli.visible import in_line
from backlane.errors import BacklaneError, Refusal, ServiceError, ServiceUnreachable, SettingsError

app = cyclopts.App(
    name="backlane",
    help="Durable jobs around long-running AI work. Start with: backlane dev",
    version_flags=["--version"],
    help_flags=["--help", "-h"],
)
for command in (
    run_service.dev,
    run_service.serve,
    run_service.worker,
    run_service.simulator,
    operate.migrate,
    operate.doctor,
    jobs.submit,
    jobs.show,
    jobs.watch,
    jobs.cancel,
    jobs.retry,
    jobs.resolve,
    messages.message,
    reviews.reviews,
    reviews.review,
    decisions.approve,
    decisions.reject,
    decisions.request_changes,
    reviews.claim,
    reviews.release_claim,
    care.escalate,
    care.archive,
    care.unarchive,
    care.hold,
    care.release,
    care.sensitive,
    care.note,
    care.cases,
    bulk.bulk,
):
    app.command(command)
app.command(jobs.list_jobs, name="jobs")
app.command(keys.app)
app.command(lanes.app)
app.command(budgets.app)
app.command(export.app)
app.command(actions.app)
app.command(policy.app)


def exit_code(error: BacklaneError) -> int:
    """The contract's exit code for an error."""
    if isinstance(error, ServiceUnreachable):
        return 4
    if isinstance(error, SettingsError):
        return 2
    if isinstance(error, ServiceError):
        return 3 if error.status in (401, 403, 404, 409) else 1
    return 2 if isinstance(error, Refusal) else 1


def run(tokens: list[str] | None = None) -> None:
    """The entry point."""
    try:
        code = app(tokens, exit_on_error=False, print_error=False, result_action="return_value")
    except cyclopts.CycloptsError as error:
        say(f"backlane: {' '.join(str(error).split())}; see 'backlane --help'")
        code = 2
    except BacklaneError as error:
        hint = _hint(error)
        # One line, whatever the error quotes.
        say(in_line(f"backlane: {' '.join(str(error).split())}{'; ' + hint if hint else ''}"))
        code = exit_code(error)
    except KeyboardInterrupt:
        code = 130
    except BrokenPipeError:
        # Whoever read our output has gone; that is their right.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        code = 0
    sys.exit(code if isinstance(code, int) else 0)


def _hint(error: BacklaneError) -> str:
    if isinstance(error, ServiceError) and error.problem:
        fields = [f"{one['pointer'] or '/'}: {one['detail']}" for one in error.problem.get("errors", [])]
        hint = str(error.problem.get("hint", ""))
        return "; ".join([*fields[1:4], hint]) if hint else "; ".join(fields[1:4])
    return ""
