"""Members: what the shops may know of them."""
