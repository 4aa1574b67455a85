"""What becomes of each row of a landed file."""
