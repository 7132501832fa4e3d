"""The demos of the command line: what they compute of the sample, and the files they write."""
