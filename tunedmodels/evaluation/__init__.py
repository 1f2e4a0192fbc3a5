"""Evaluation of tuned models: metrics, gates, reports and the interpretation of loss curves."""
