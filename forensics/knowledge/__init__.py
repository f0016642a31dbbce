"""Data the detectors rest on: versions, defects, log signatures. No code."""
