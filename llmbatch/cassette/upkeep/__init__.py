"""What is done with a finished cassette: look, compare, merge, convert, repair. Knows no task and no model."""
