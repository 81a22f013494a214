"""Durable background work on the application's own database, and who is at it."""

from entrepot.jobs.port import (
    CONVERSIONS,
    ORDERS,
    VIDEOS,
    JobRow,
    Jobs,
    JobState,
    prepare_jobs,
)
from entrepot.jobs.presence import Presence, conversions_on, find_presence
from entrepot.jobs.runner import Halted, Handler, Queue, Runner, Task

__all__ = [
    "CONVERSIONS",
    "ORDERS",
    "VIDEOS",
    "Halted",
    "Handler",
    "JobRow",
    "JobState",
    "Jobs",
    "Presence",
    "Queue",
    "Runner",
    "Task",
    "conversions_on",
    "find_presence",
    "prepare_jobs",
]
