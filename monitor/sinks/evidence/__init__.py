"""Evidence of an alert as files: pictures, a clip with pre-roll, and the facts. A separate thread writes them.

Evidence may be lost, but alerts never: nothing here makes the main loop wait. A full disk costs only evidence files.
"""
