"""What holds for every test: examples are judged by their result, never by how long a busy machine took for them."""

from hypothesis import HealthCheck, settings

settings.register_profile("envmon", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("envmon")
