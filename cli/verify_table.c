/* What `phalanx verify` says: a line for each check, and the verdict. */
#include <errno.h>
#include <stdarg.h>
#include <string.h>

#include "cli/command.h"
#include "cli/verify.h"

void phx_verify_add(struct phx_verify *v, const char *name, int good, json_t *names,
                    const char *format, ...)
{
    char text[512];
    va_list args;
    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    v->nfailed += !good;
    fprintf(v->table, "%s %-11s %s\n", good ? "✓" : "✗", name, text);
    for (size_t i = 0; i < json_array_size(names); i++) {
        if (i == PHX_VERIFY_NAMED_MAX) {
            fprintf(v->table, "                … and %zu more\n", json_array_size(names) - i);
            break;
        }
        fprintf(v->table, "                %s\n", json_string_value(json_array_get(names, i)));
    }
    fflush(v->table);
    json_array_append_new(v->checks,
                          json_pack("{s:s, s:b, s:s, s:o}", "check", name, "good", good, "text",
                                    text, "tests", names ? names : json_array()));
}

void phx_verify_conclude(const struct phx_verify *v)
{
    size_t i, named = 0;
    json_t *check;
    if (v->nfailed == 0) {
        fputs("All is well.\n", v->table);
    } else {
        fprintf(v->table, "%zu of %zu checks failed: ", v->nfailed, json_array_size(v->checks));
        json_array_foreach(v->checks, i, check)
        {
            if (!json_is_true(json_object_get(check, "good")))
                fprintf(v->table, "%s%s", named++ ? ", " : "",
                        json_string_value(json_object_get(check, "check")));
        }
        fputs(".\n", v->table);
    }
    fprintf(v->table, "Output and reports of the runs: %s\n", v->directory);
}

int phx_verify_write_json(const struct phx_verify *v)
{
    json_t *all = json_pack("{s:i, s:b, s:i, s:O}", "schema", 1, "good", v->nfailed == 0, "workers",
                            (int)v->options.workers, "checks", v->checks);
    int status = strcmp(v->options.json, "-") == 0
                     ? json_dumpf(all, stdout, JSON_INDENT(2)) || putchar('\n') == EOF
                     : json_dump_file(all, v->options.json, JSON_INDENT(2));
    json_decref(all);
    if (status == 0)
        return 0;
    return phx_cli_complain(1, "phalanx verify", "cannot write %s: %s", v->options.json,
                            strerror(errno));
}
