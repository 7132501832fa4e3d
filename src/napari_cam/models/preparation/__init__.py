"""From stored voxels to a network's input, and from maps back to the voxels."""
