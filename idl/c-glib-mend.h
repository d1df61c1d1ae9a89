/* Mends what thrift c_glib 0.17 leaks when its objects are freed. Generated code calls this before
 * main(), see generate-c.sh; any number of calls do no harm, from one thread. */
#pragma once

void c_glib_mend(void);
