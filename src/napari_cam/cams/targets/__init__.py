"""What is explained: the score of a class, or of a class over a set of pixels."""
