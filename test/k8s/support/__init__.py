"""What cluster, podrunner and their tests share."""
