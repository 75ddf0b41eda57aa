"""What a report is measured against: the least that Django can do with the same request."""
