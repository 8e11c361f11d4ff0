"""Checks what a run needs before it starts: cameras, footage, models, ports, disk, device. Says how to fix each."""
