"""Job types to learn from, and the demo that runs them."""
