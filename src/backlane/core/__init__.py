"""The nouns: pure values and rules. Nothing here knows a clock, a socket, a file or a database."""
