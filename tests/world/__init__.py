"""A deterministic simulated world: the real services on real SQLite, under one seed and a virtual clock."""
