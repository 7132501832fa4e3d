"""What a heatmap claims: threshold rules, the one comparison, the one count."""
