"""The bundle: a compiled, signed programme as a file, and the checks before it is trusted."""
