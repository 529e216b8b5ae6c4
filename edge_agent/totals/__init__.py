"""What was sold and returned on a day, for the end of a shift."""
