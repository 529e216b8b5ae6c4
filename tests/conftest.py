"""Fixtures that every test may ask for; they live in ``tests/support``, one file a subject."""

from hypothesis import HealthCheck, settings

from tests.support.databases import database, pool, postgres_server, template_database

__all__ = ["database", "pool", "postgres_server", "template_database"]

# Machines are slow and busy at times: no test is judged by a clock.
settings.register_profile(
    "kopilka", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True
)
settings.load_profile("kopilka")
