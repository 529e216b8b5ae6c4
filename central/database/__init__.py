"""PostgreSQL: the pool, the migrations, the server that central may run for itself."""
