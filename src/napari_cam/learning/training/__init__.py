"""How it is learned: the loop, its losses, and training by what a card says."""
