"""What the outside world talks to: the vendor's webhook and the patients' pages."""

from alongside.web.app import create_app

__all__ = ["create_app"]
