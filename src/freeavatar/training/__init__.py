"""What every training step shares: data shards, the resumable loop, schedules. Needs PyTorch."""
