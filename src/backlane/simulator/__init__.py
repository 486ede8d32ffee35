"""A simulated provider: its HTTP protocol, scripted weather, a truth log. Imports nothing of the product."""
