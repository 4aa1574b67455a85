"""How files land in the data root and how the pipeline claims them."""
