"""The page people see: what a used car is worth, asked of the API."""
