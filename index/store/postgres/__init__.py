"""The store in PostgreSQL with pgvector: many servers, many writers, and replicas; psycopg is the one client."""

from index.store.postgres.backend import PostgresBackend
from index.store.postgres.writer import Writer

__all__ = ["PostgresBackend", "Writer"]
