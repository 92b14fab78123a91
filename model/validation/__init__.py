"""What a person should know of a set before training on it: every photograph is looked at."""
