"""What a person at a terminal sees: progress and tables. Knows frames and counters, never how a row came about."""
