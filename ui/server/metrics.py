"""What is counted, for Prometheus; each worker counts for itself."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

REQUESTS = Histogram("dragoman_request_seconds", "HTTP requests, to the end of the response.", ("route", "status"))
QUESTIONS = Counter("dragoman_questions", "Questions: answered, or why not, or what failed.", ("language", "outcome"))
