"""The customer side, tested against a small real HTTP server."""
