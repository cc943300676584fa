"""Does the engine keep its promises? Thousands of simulated experiments whose truth is known."""
