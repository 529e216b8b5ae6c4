"""The product reference."""
