"""A fleet of simulated machines that speak HTTP only: demo, load generator and test tool."""
