"""The verbs: each takes the ports, runs one transaction at a time, and calls the outside between them."""
