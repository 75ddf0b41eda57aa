"""HTTP edges of lifecycle: parse, one service call, answer."""
