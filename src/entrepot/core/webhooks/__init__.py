"""Telling integrators of events: subscriptions, and deliveries that arrive at least once."""

from entrepot.core.webhooks import tables as tables
