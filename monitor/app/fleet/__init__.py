"""The commands of a fleet of machines: head, node, and what people ask of it."""
