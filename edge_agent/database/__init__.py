"""The shop's one SQLite file: its connections, its single writer, its schema."""
