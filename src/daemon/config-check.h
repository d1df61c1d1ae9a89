/* What must hold between keys, where each of them for itself is valid. */
#pragma once

#include "daemon/config-report.h"
#include "daemon/config.h"
#include "daemon/ini-file.h"

/* `config` may have members that are zero or NULL because their keys were wrong. */
void config_check(const Config *config, const IniFile *file, ConfigReport *errors);
