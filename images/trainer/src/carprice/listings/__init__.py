"""What a listing is, and how files and records are read into listings."""
