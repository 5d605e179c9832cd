"""What the service counts for Prometheus: searches by rule, requests, points."""

from __future__ import annotations

import prometheus_client as prometheus

from ..store import Store

BUCKETS = (0.0002, 0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5)  # seconds
PREFIX = "neighborhood_drift_"


class Metrics:
    """Counters of one service in a registry of their own.

    >>> from neighborhood_drift import Collection
    >>> metrics = Metrics(Collection(2))
    >>> metrics.request("/search", 200)
    >>> 'requests_total{path="/search",status="200"} 1.0' in metrics.text().decode()
    True
    """

    media_type = prometheus.CONTENT_TYPE_LATEST

    def __init__(self, store: Store):
        self._store = store
        self._registry = prometheus.CollectorRegistry()
        own = {"registry": self._registry}
        self._searches = prometheus.Histogram(
            f"{PREFIX}search_seconds", "Time of searches.", ["rule", "exact"], buckets=BUCKETS, **own
        )
        self._requests = prometheus.Counter(f"{PREFIX}requests", "Requests answered.", ["path", "status"], **own)
        self._changes = prometheus.Counter(f"{PREFIX}changed_points", "Points added or deleted.", ["change"], **own)
        self._points = prometheus.Gauge(f"{PREFIX}points", "Points that are there.", **own)
        self._deleted = prometheus.Gauge(f"{PREFIX}deleted_points", "Deleted points that take space still.", **own)

    def search(self, rule: str, exact: bool, seconds: float) -> None:
        """Count a search."""
        self._searches.labels(rule, str(exact).lower()).observe(seconds)

    def request(self, path: str, status: int) -> None:
        """Count an answer to a path of the service."""
        self._requests.labels(path, str(status)).inc()

    def change(self, change: str, points: int) -> None:
        """Count points that were "added" or "deleted"."""
        self._changes.labels(change).inc(points)

    def text(self) -> bytes:
        """All of them, in Prometheus's text form."""
        about = self._store.info()
        self._points.set(about["points"])
        self._deleted.set(about.get("deleted") or 0)
        return prometheus.generate_latest(self._registry)
