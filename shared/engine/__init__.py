"""The one evaluator: program and receipt in, answer with reasons out. Pure."""
