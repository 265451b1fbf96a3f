"""Builds the demo arena's models on this machine: `python -m gpu_workers.demo FOLDER`."""
