"""The cars on offer, with their estimates and labels: read from the data root, filtered and served."""
