#include "cli/verify_run.h"

#include <errno.h>
#include <expat.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cli/command.h"

enum { CASE_MAX = 4096, ARGS_MAX = 4096 };

/* ---- JUnit: each case as one text, `class::name` and what is in it ---- */

struct cases {
    json_t *list;
    char text[CASE_MAX];
    int is_in_case;
};

static const char *attribute(const char **attributes, const char *name)
{
    for (; *attributes; attributes += 2)
        if (strcmp(attributes[0], name) == 0)
            return attributes[1];
    return "";
}

static void XMLCALL on_start(void *data, const char *element, const char **attributes)
{
    struct cases *cases = data;
    if (strcmp(element, "testcase") == 0) {
        snprintf(cases->text, sizeof cases->text, "%s::%s", attribute(attributes, "classname"),
                 attribute(attributes, "name"));
        cases->is_in_case = 1;
    } else if (cases->is_in_case && strncmp(element, "system-", 7) != 0 &&
               strncmp(element, "propert", 7) != 0) {
        size_t used = strlen(cases->text);
        snprintf(cases->text + used, sizeof cases->text - used, " %s", element);
    }
}

static void XMLCALL on_end(void *data, const char *element)
{
    struct cases *cases = data;
    if (strcmp(element, "testcase") != 0)
        return;
    json_array_append_new(cases->list, json_string(cases->text));
    cases->is_in_case = 0;
}

static int compare_texts(const void *left, const void *right)
{
    return strcmp(json_string_value(*(json_t *const *)left),
                  json_string_value(*(json_t *const *)right));
}

static json_t *sorted(json_t *list)
{
    size_t count = json_array_size(list);
    json_t **texts = calloc(count + 1, sizeof *texts);
    json_t *out = json_array();
    for (size_t i = 0; texts && i < count; i++)
        texts[i] = json_array_get(list, i);
    if (texts)
        qsort(texts, count, sizeof *texts, compare_texts);
    for (size_t i = 0; texts && i < count; i++)
        json_array_append(out, texts[i]);
    free(texts);
    json_decref(list);
    return out;
}

/* The cases of a JUnit file, or NULL when it is none. */
static json_t *read_cases(const char *path)
{
    FILE *file = fopen(path, "re");
    XML_Parser parser = file ? XML_ParserCreate(NULL) : NULL;
    if (!parser) {
        if (file)
            fclose(file);
        return NULL;
    }
    struct cases cases = {.list = json_array()};
    XML_SetUserData(parser, &cases);
    XML_SetElementHandler(parser, on_start, on_end);
    int good = 1, ended = 0;
    while (good && !ended) {
        char bytes[65536];
        size_t got = fread(bytes, 1, sizeof bytes, file);
        ended = got < sizeof bytes;
        good = XML_Parse(parser, bytes, (int)got, ended) == XML_STATUS_OK;
    }
    XML_ParserFree(parser);
    fclose(file);
    if (good)
        return sorted(cases.list);
    json_decref(cases.list);
    return NULL;
}

/* ---- pytest ---- */

void phx_verify_python(char *out, size_t size)
{
    ssize_t length = readlink("/proc/self/exe", out, size - 1);
    char *slash = NULL;
    if (length > 0) {
        out[length] = '\0';
        slash = strrchr(out, '/');
    }
    if (slash && (size_t)(slash - out) + sizeof "/python" <= size) {
        memcpy(slash, "/python", sizeof "/python");
        if (access(out, X_OK) == 0)
            return;
    }
    snprintf(out, size, "python3");
}

/* In the child: only what is safe there. */
static void become_pytest(const char *log, const char **argv)
{
    int fd = open(log, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && nothing >= 0) {
        dup2(nothing, 0);
        dup2(fd, 1);
        dup2(fd, 2);
        execvp(argv[0], (char *const *)argv);
    }
    _exit(127);
}

static int wait_for(pid_t pid)
{
    int status;
    while (waitpid(pid, &status, 0) < 0)
        if (errno != EINTR)
            return -errno;
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int phx_verify_run(struct phx_verify_run *run, const char *name, const char *directory,
                   const char *python, char *const *args, const char *const *extra)
{
    char json_option[600], xml_option[600];
    const char *argv[ARGS_MAX] = {python, "-m", "pytest"};
    size_t count = 3;
    *run = (struct phx_verify_run){.name = name};
    snprintf(run->log, sizeof run->log, "%s/%s.log", directory, name);
    snprintf(json_option, sizeof json_option, "--report-json=%s/%s.json", directory, name);
    snprintf(xml_option, sizeof xml_option, "--junitxml=%s/%s.xml", directory, name);
    for (; *args && count < ARGS_MAX - 16; args++)
        argv[count++] = *args;
    for (; *extra; extra++)
        argv[count++] = *extra;
    argv[count++] = json_option;
    argv[count++] = xml_option;
    phx_ns begun = phx_clock_now();
    pid_t pid = fork();
    if (pid == 0)
        become_pytest(run->log, argv);
    run->exit_code = pid < 0 ? -errno : wait_for(pid);
    run->wall = phx_clock_now() - begun;
    if (run->exit_code < 0 || run->exit_code == 127) {
        phx_cli_complain(0, "phalanx verify", "cannot run %s -m pytest: %s", python,
                         run->exit_code < 0 ? strerror(-run->exit_code) : "no such program");
        return run->exit_code < 0 ? run->exit_code : -ENOENT;
    }
    run->report = json_load_file(strchr(json_option, '=') + 1, 0, NULL);
    run->cases = read_cases(strchr(xml_option, '=') + 1);
    return 0;
}

void phx_verify_run_fini(struct phx_verify_run *run)
{
    json_decref(run->report);
    json_decref(run->cases);
    *run = (struct phx_verify_run){0};
}

json_t *phx_verify_tests(const struct phx_verify_run *run)
{
    return json_object_get(run->report, "tests");
}
