"""Checks what a run needs before it starts: cameras, footage, models, ports, disk, device; each with its mend."""
