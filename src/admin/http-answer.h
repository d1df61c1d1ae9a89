/* What the http interface answers: its resources, and the answers to requests for anything else.
 * Each of these functions answers the request, which evhttp then frees. */
#pragma once

#include <event2/http.h>

#include "admin/stats.h"

typedef struct HttpResource {
    const char *path;
    bool needs_stats; /* else `answer` is called without */
    void (*answer)(struct evhttp_request *request, const Stats *stats);
} HttpResource;

/* NULL: there is nothing at this path. */
const HttpResource *http_resource_find(const char *path);

void http_answer_not_found(struct evhttp_request *request);
void http_answer_not_allowed(struct evhttp_request *request);
