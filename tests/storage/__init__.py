"""Tests of kafkalike/storage, on real files and on a disk that fails when told to."""
