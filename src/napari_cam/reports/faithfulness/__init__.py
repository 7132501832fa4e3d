"""The faithfulness report: the network itself tests whether a heatmap shows what it used."""
