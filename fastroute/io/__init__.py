"""Readers and writers of files that other tools wrote or will read."""
