"""Words for people: numbers, durations, commands, redacted addresses and log lines."""
