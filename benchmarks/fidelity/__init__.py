"""How faithful virtual images are: `python -m benchmarks.fidelity` writes docs/fidelity.md."""
