"""What the doors share: conditional requests, bodies, headers, errors."""
