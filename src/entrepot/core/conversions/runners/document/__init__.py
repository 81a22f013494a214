"""The document runner: pages of PDFs, drawn by PDFium or taken out as they are."""

from entrepot.core.conversions.runners.document.entry import convert, probe

__all__ = ["convert", "probe"]
