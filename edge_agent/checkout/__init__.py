"""From priced receipt to recorded sale: what pays for the points, and the one transaction."""
