"""The dock "CAM": image, network, heatmap, mask and files, one step after another."""
