"""Measurements that anyone can repeat: `make bench`, `make bench-accuracy`."""
