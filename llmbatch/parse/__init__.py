"""From the bytes of a recorded reply to a typed value. Knows no network, no cassette and no task."""
