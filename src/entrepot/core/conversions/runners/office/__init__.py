"""The office runner: LibreOffice makes a PDF, and the document runner what is wanted of it."""

from entrepot.core.conversions.runners.office.entry import convert

__all__ = ["convert"]
