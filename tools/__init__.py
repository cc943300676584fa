"""Set-up helpers of the Makefile."""
