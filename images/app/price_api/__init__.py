"""The price service: an HTTP API on whatever model is in production."""
