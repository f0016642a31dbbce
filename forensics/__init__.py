"""The pipeline: Bundle -> Artifact -> Record -> PodState -> Finding."""
