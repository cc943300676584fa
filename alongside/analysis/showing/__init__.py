"""Words, figures and pages for the people who read a result."""
