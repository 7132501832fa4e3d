"""Scores of cases: what a report computes of one case, stored and joined over cases later."""
