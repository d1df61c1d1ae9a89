/* What bench-load has found, as one JSON object. */

#include "load.h"

#include <inttypes.h>
#include <stdio.h>

static double seconds_of(nsec_t time)
{
    return (double)time / (double)NSEC_PER_SEC;
}

static void report_latency(const Latency *latency)
{
    static const struct {
        const char *name;
        double part;
    } quantiles[] = {{"p50", 0.5}, {"p90", 0.9}, {"p99", 0.99}, {"p999", 0.999}};

    printf("\"latency_us\": {");
    for (size_t i = 0; i < G_N_ELEMENTS(quantiles); i++)
        printf("\"%s\": %.2f, ", quantiles[i].name,
               latency_quantile(latency, quantiles[i].part) / (double)NSEC_PER_USEC);
    printf("\"max\": %.2f}", (double)latency->max / (double)NSEC_PER_USEC);
}

static gint starved(const Load *load)
{
    gint count = 0;

    for (gint i = 0; i < load->options->connections; i++)
        if (load->clients[i].answered == 0)
            count++;
    return count;
}

void load_report(const Load *load)
{
    double seconds = seconds_of(load->end - load->begin);

    printf("{\"calls\": %" PRIu64 ", \"right\": %" PRIu64 ", \"wrong\": %" PRIu64
           ", \"missing\": %" PRIu64 ", \"starved\": %d, \"unsent\": %" PRIu64 ", ",
           load->begun, load->right, load->wrong + load->talk.unasked, load_missing(load),
           starved(load), load->unsent);
    printf("\"greeted\": %" PRIu64 ", \"greeting_seconds\": %.6f, ", load->greeted,
           seconds_of(load->greeting_time));
    printf("\"seconds\": %.6f, \"measured\": %" PRIu64
           ", \"calls_per_s\": %.1f, \"cpu_ns\": %" PRIu64 ", ",
           seconds, load->right_measured,
           seconds > 0 ? (double)load->right_measured / seconds : 0.0, load->cpu_ns);
    report_latency(&load->latency);
    printf("}\n");
    if (load->talk.problem != NULL)
        fprintf(stderr, "the first problem: %s\n", load->talk.problem);
}
