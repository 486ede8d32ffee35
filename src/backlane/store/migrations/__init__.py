"""The steps by which a database grows; each is applied once, in order, inside a transaction."""
