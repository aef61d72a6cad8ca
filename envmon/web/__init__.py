"""HTTP for people and scrapers: metrics, health, status and a status page. Nothing can be ordered here."""
