"""The job door: which job calls which verb of the core, and what is done from time to time."""

from entrepot.worker.worker import Worker

__all__ = ["Worker"]
