"""Entrepot, a self-hosted download hub: who may have what, signed links, verified bytes."""

__version__ = "0.1.0"
