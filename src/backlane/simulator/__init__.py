"""A simulated provider: the provider's HTTP protocol, scripted weather, a truth log. It imports nothing of the product."""
