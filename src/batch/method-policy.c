#include <glib.h>

#include "batch/method.h"

void method_policy_free(MethodPolicy *policy)
{
    if (!policy)
        return;
    g_free(policy->name);
    g_free(policy->group);
    g_free(policy->batch_method);
    g_free(policy);
}
