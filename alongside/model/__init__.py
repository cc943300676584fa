"""Pure vocabulary that every other package shares: no I/O, no clock, no third-party library but Pydantic."""
