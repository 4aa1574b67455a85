"""The page for buyers and sellers: it asks the API what a used car is worth."""
