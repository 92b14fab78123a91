"""Which labels are likely wrong: where a run's branches agree with each other and not with them."""
