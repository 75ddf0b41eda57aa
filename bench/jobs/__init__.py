"""What runs in a process of its own with Django set up; called through `processes.run_job`."""
