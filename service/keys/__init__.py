"""Who may ask for what: API keys at the edge."""
