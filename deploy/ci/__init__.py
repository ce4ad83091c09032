"""What a CI system runs of this project: the matrix of its builds, and a pipeline for GitLab."""
