"""What a cassette holds, and what tells one request from another. Writes nothing."""
