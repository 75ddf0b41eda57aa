"""The engine about itself: health, metrics, settings, backup export, console entry, processes."""
