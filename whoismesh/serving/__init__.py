"""A dump as a server: `questions`, answers (`whois_text`, `rdap_objects`), the `snapshot` asked, and `servers`."""
