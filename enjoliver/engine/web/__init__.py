"""The web server's own part, loaded by gunicorn before Django: downloads hold no thread."""
