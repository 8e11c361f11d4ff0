"""Live pictures for those who look: leases, and the thread that makes the pictures."""
