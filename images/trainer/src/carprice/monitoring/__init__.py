"""What is watched once a model is in production: drift and live accuracy."""
