"""The invariant checker: one pure function over what was stored, and what clients and the provider saw."""
