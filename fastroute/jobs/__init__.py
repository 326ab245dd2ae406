"""One file a verb, without a terminal: read, compute, write, manifest."""
