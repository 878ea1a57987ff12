"""The words an author writes: declarations, the answer, the ask. Knows no cassette, no network and no run."""
