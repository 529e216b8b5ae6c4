"""What crosses a wire, as msgspec structures; both ends use the same module."""
