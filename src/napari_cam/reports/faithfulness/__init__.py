"""Whether a heatmap shows what the network used: the network itself is asked."""
