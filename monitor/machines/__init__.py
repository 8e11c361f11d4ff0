"""Several machines under one monitor: leases, the coordinator, and the gateway that makes one monitor of them."""
