"""Whether llmbatch holds its promises on this machine: a list of checks, one file a check. Prints nothing."""
