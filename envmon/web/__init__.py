"""HTTP for people and scrapers (metrics, health, status, a page; read-only), and orders over HTTPS."""
