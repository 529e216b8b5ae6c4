"""A test kit for makers of tills: a certificate by levels, and a shop that plays a busy day."""
