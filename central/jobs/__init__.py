"""What central does by itself, on a timer."""
