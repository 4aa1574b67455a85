"""A filter in front of the Docker API: it lets a worker run the steps of the pipeline, and nothing else."""
