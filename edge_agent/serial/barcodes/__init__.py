"""What a scanner or a card reader read, understood. Everything here is pure."""
