"""A till and its hub on the shop's own network: promises, relayed records, fail-over."""
