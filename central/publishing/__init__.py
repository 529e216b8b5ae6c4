"""From a programme document to a bundle in force; and back: why a receipt came out as it did."""
