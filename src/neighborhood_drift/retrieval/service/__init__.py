"""The search service: HTTP over one store of vectors, a page for people and JSON for programs (extra ``serve``)."""
