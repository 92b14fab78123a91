"""What Prometheus reads: how long requests take and where, what was refused, how jobs stand."""
