"""`python -m backlane.cli`: the same as the `backlane` command."""

from backlane.cli.main import run

run()
