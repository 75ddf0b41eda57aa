"""The stages. They speak HTTP or start jobs; none of them loads Django itself."""
