"""Findings to something a person or a machine reads. Reads the result document only."""
