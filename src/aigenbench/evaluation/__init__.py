"""What predictions are worth: the predictions file, metrics, intervals, reports and leaderboards.

Reads predictions files and the protocol and nothing else, so it serves predictions made anywhere.
"""
