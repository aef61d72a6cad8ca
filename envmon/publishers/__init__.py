"""Listeners to the loop: an MQTT broker and the Prometheus page."""
