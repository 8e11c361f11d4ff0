"""What receives scores, alerts and health: publisher, log, score record, dashboard, evidence."""
