"""What happens to a job: store, leases, supervisor, artifacts and registry."""
