"""Who looks: architectures, loaded networks and their cards, safe files, target layers."""
