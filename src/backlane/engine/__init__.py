"""Engines carry ids of due jobs to workers; they own no state, no time and no status."""
