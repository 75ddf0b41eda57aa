"""A bare-metal network: the real DHCP servers with the documented files, firmware's requests."""
