"""Times as in sentences, logs and the words of agents: to the second, and always UTC."""

DATETIME_FORMAT = r"Y-m-d H:i:s \U\T\C"
