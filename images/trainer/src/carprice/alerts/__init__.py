"""Who is told when something needs a person, and through which channel."""
