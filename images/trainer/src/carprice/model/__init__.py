"""The price model: features, regression, interval, explanation."""
