"""Interactions in other forms: written for other programs, and read from their files. Nothing foreign is trusted."""
