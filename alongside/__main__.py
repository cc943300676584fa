"""`python -m alongside`."""

from alongside.cli import main

main()
