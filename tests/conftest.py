"""Hypothesis: the same examples every time and no clock, so that a busy machine fails no test.

`pytest --hypothesis-profile explore` looks for new ones.
"""

from hypothesis import HealthCheck, settings

CALM = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("house", derandomize=True, **CALM)
settings.register_profile("explore", max_examples=1000, **CALM)
settings.load_profile("house")
