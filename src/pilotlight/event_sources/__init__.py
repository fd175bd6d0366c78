"""What becomes an invocation without anybody calling: schedules, and later queues and streams."""
