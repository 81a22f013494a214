"""What the demonstration cannot get over."""


class DemoFailure(Exception):  # noqa: N818 - it is the demonstration that failed
    """Ends the demonstration: `message` for people, and what to do about it (`remedy`)."""

    def __init__(self, message: str, *, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
