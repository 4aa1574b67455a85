"""The market at a glance: which listings are on offer, and how each price stands against its estimate."""
