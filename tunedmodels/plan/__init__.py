"""The plan: the changes that apply would make, with reasons and costs. No network, no clock."""
