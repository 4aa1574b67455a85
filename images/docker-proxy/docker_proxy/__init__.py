"""A filter in front of the Docker API: lets a worker run the pipeline's steps, and nothing else."""
