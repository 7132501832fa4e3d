"""Who is learned from: subjects, known by salted hashes alone."""
