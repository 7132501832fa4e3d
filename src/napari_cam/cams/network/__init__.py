"""Runs a network for a CAM: its layers' activations, their gradients, scores of changed inputs."""
