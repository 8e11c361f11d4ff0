"""The page in a browser: cameras now, events to review, budgets, health. ``python -m monitor.web`` serves it.

It is one more subscriber, in a process of its own. It talks to the monitor over the bus alone.
"""
