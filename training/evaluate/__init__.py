"""Evaluation: labelled footage, alarms per day, submissions, what-if."""
