"""Several masks of one volume made into one, and boxes that say where masks may lie."""
