"""People with joints: readers of sets, drawn figures, and the way into a batch."""
