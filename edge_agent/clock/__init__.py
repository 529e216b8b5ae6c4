"""Time that never goes back, whatever happens to the machine's clock."""
