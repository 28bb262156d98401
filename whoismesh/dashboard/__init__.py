"""The dashboard: a web page of a running crawl, from a process of its own."""
