"""How the network looked: the graph cut, targets, formulas, heatmaps."""
