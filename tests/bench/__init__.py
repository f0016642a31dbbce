"""The speed of npforensics beside other programs that do the same work: `make bench`."""
