"""Tests of kafkalike/config: what a value means, and what Apache's broker says of the same."""
