"""Proof of the release gate: a canary through every surface, for every role and every state of review."""
