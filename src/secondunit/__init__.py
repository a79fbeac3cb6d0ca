"""Second Unit: hand it a shot list; it comes back with a film."""

__version__ = "0.1.0"
