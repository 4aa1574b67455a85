"""Which listings there are, and the immutable states a training uses."""
