"""What proves an alert: pictures, a clip with pre-roll and the facts, as files, written by a thread of its own.

Evidence may be lost, alerts never: nothing here makes the main loop wait, and a disk that takes no more costs files.
"""
