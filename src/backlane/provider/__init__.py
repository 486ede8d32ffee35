"""The provider's wire: its words in, outcome values out. Nothing here knows of jobs' lives or of SQL."""
