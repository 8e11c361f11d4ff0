"""The alert protocol: messages, ZeroMQ publisher, journal, replay of missed messages and encryption keys."""
