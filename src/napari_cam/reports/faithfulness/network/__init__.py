"""What the network answers: scores of changed pictures, and maps of networks with other weights."""
