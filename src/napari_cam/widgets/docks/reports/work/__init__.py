"""What the reports dock computes in another thread, and what it is asked for. No Qt, no layers."""
