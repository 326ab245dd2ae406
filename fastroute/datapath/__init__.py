"""Compile to flat arrays, the walk, legs, and explain."""
