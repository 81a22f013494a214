"""What doors with pages share: rendering, the session of a visitor, errors as pages."""
