"""Measurements of the product; `make help` lists the `bench` targets that run them."""
