"""What the API and the app agree on: answers as types, codes with their sentences in French and English,
and a priced table as CSV.

Both import it. It imports neither of them, and nothing of the web framework.
"""
