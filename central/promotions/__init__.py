"""Published bundles with the documents they were made from."""
