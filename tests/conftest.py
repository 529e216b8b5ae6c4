"""Fixtures that every test may ask for; they live in ``tests/support``, one file a subject."""

from tests.support.databases import database, pool, postgres_server, template_database

__all__ = ["database", "pool", "postgres_server", "template_database"]
