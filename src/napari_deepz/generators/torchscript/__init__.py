"""TorchScript networks of anybody: checked before they are loaded, measured, run in tiles."""
