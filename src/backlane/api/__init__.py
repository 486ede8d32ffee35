"""The REST surface: parse, call a verb, print. It decides nothing."""
