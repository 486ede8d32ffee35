"""Real processes on a real disk: killed at named points and random instants, stopped past their lease."""
