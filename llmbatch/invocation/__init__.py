"""One invocation: from an experiment file and its options to a run, as a list of steps."""
