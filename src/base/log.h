/* The log: one logfmt line, one write to standard error, so that lines of many processes never mix.
 *
 * Silent unless PHX_LOG asks: `PHX_LOG=controller:debug,guard:info` or `PHX_LOG=debug` for every
 * role. Library functions return codes; only roles log. Runs in any process. */
#ifndef PHX_BASE_LOG_H
#define PHX_BASE_LOG_H

enum phx_log_level { PHX_LOG_NONE = 0, PHX_LOG_INFO = 1, PHX_LOG_DEBUG = 2 };

/* Names this process in its lines ("controller", "guard", "zygote", "gw0") and reads PHX_LOG for
 * that role ("worker" stands for every gwN). Called again after a fork. */
void phx_log_role(const char *role);

/* Writes `role=… pid=… <format>` if the level is asked for. `format` is logfmt: `event=…
 * key=value`. */
void phx_log(enum phx_log_level level, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

#endif
