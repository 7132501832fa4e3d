"""What is learned from: units as a network takes them, and the changes that each draws."""
