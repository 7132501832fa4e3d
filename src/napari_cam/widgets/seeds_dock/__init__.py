"""The dock "Seeds": ensembles, boxes, seeds, review and export."""
