"""How secrets of 256 random bits are kept."""

import hashlib


def hash_secret(secret: str) -> str:
    """SHA-256 in hexadecimal: enough for secrets that are 256 random bits."""
    return hashlib.sha256(secret.encode(errors="surrogatepass")).hexdigest()
