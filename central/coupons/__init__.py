"""Public coupon codes and their series."""
