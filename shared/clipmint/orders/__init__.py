"""Starting jobs: one key, one job, one hold."""
