/* The status page that the http interface serves at /: one HTML document without outside resources,
 * made at build time of the files in admin/page/. It fetches /stats.json from where it came. */
#pragma once

#include <stddef.h>

extern const char status_page[]; /* UTF-8, with a NUL behind it that does not count */
extern const size_t status_page_size;

/* The value of the Content-Security-Policy header to serve it with: its own styles and scripts, by
 * their hashes, and nothing else. */
extern const char status_page_csp[];
