"""A folder of recorded HTTP interactions: look up, append, check. Knows no task, no sample and no model."""
