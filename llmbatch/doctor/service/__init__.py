"""Whether a service can be reached and would answer: a list of steps, each a line. Prints nothing, records nothing."""
