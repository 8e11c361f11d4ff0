"""A camera without a model records what it sees while it is normal, has it learned, and is watched from then on."""
