"""The lab's system image, built from Debian packages."""
