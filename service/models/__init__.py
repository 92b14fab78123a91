"""Models: their versions, and which one is in production."""
