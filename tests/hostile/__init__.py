"""What a model, a tool, a page or a file may say to us, and must have no power by saying it."""
