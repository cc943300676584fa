"""Other people's senders on the same stand-in. Needs the dependency group `peers`; nothing else does."""
