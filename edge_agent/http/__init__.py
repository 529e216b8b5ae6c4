"""What tills speak to: decode, call one service, encode."""
