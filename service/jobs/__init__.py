"""Jobs: posted, followed and cancelled; their artifacts."""
