"""vlm-qsft: from mediocre robot logs to a better policy. Importing this loads neither torch nor ROS nor lerobot."""

__version__ = "0.1.0"
