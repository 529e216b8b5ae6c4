"""What another medium remembers of this shop's records, so that an old database is not believed."""
