"""Steps: one file per capability; each calls the engine and publishes what it found."""
