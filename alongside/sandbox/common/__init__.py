"""What stand-ins of different vendors share."""
