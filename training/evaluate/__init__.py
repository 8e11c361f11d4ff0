"""Evaluation: measures on labelled footage, alarms per day, submission files, what-if."""
