"""The store itself, its goods and the public coupon codes, as central last told them."""
