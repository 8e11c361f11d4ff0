"""Text shown to users: numbers, durations, commands, redacted addresses and log lines."""
