/* Numbers as people read them. All strings are the caller's. */
#pragma once

#include <glib.h>

char *figure_count(double number); /* "25,129" */
char *figure_one(double number);   /* with one decimal below a hundred: "15.9" */
char *figure_bytes(double bytes);  /* "3.4 KiB" */
char *figure_time(double seconds); /* of a call: "310 us", "5.2 ms", "1.20 s"; of none (NAN): "-" */
char *figure_span(double seconds); /* of a day: "2 h 13 min" */
char *figure_date(double unix_seconds);

/* Text from elsewhere: nothing in it commands the terminal. */
char *figure_text(const char *text);
