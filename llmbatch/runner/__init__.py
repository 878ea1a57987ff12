"""Running cases: a sliding window over the plan, one row a case, whatever happens in it."""
