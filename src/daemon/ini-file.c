/* libinih splits the lines into key and value. Around it stands a reader of our own, because how
 * the library was built decides what it makes of comments, of indented lines and of long ones, and
 * because it cuts section names at 49 bytes without a word and tells the handler no line:
 *
 *   file ─> Reader: counts lines, takes comments away, keeps the section ─> inih ─> add_key()
 *
 * The reader hands out only lines of the form `key = value`, unindented and short enough. */
#include "daemon/ini-file.h"

#include <errno.h>
#include <ini.h>
#include <stdio.h>
#include <string.h>

enum {
    FILE_MAX_SIZE = 1 << 20, /* far above any configuration; guards against a wrong --config */
    LINE_MAX_SIZE = 4096,
    INIH_SPARE = 3, /* what inih wants free in its line buffer */
};

/* Debian's library can be told its line buffer's size, which is 200 bytes otherwise; others are
 * built with one, and then that limit is reported. */
extern int ini_max_line __attribute__((weak));

typedef struct Reader {
    ConfigReport *errors;
    IniFile *file;
    char *next, *end; /* what has not been read of the text; writable, with a byte behind the end */
    unsigned line;
    IniSection *section; /* NULL: before the first, or behind one that could not be read */
    bool section_broken;
} Reader;

static void free_key(void *pointer)
{
    IniKey *key = pointer;
    g_free(key->name);
    g_free(key->value);
    g_free(key);
}

static void free_section(void *pointer)
{
    IniSection *section = pointer;
    g_free(section->name);
    g_ptr_array_unref(section->keys);
    g_free(section);
}

void ini_file_free(IniFile *file)
{
    if (!file)
        return;
    g_ptr_array_unref(file->sections);
    g_free(file);
}

static IniSection *find_section(const IniFile *file, const char *name)
{
    for (guint i = 0; i < file->sections->len; i++) {
        IniSection *section = g_ptr_array_index(file->sections, i);
        if (strcmp(section->name, name) == 0)
            return section;
    }
    return NULL;
}

const IniSection *ini_file_find(const IniFile *file, const char *section)
{
    return find_section(file, section);
}

const IniKey *ini_section_find(const IniSection *section, const char *key)
{
    for (guint i = 0; section && i < section->keys->len; i++) {
        const IniKey *found = g_ptr_array_index(section->keys, i);
        if (strcmp(found->name, key) == 0)
            return found;
    }
    return NULL;
}

static IniSection *add_section(IniFile *file, unsigned line, const char *name)
{
    IniSection *section = g_new(IniSection, 1);

    *section = (IniSection){
        .line = line,
        .name = g_strdup(name),
        .keys = g_ptr_array_new_with_free_func(free_key),
    };
    g_ptr_array_add(file->sections, section);
    return section;
}

static void add_new_key(IniSection *section, unsigned line, const char *name, const char *value)
{
    IniKey *key = g_new(IniKey, 1);

    *key = (IniKey){.line = line, .name = g_strdup(name), .value = g_strdup(value)};
    g_ptr_array_add(section->keys, key);
}

static IniFile *new_file(void)
{
    IniFile *file = g_new(IniFile, 1);

    file->sections = g_ptr_array_new_with_free_func(free_section);
    return file;
}

IniFile *ini_file_copy(const IniFile *file)
{
    IniFile *copy = new_file();

    for (guint i = 0; i < file->sections->len; i++) {
        const IniSection *section = g_ptr_array_index(file->sections, i);
        IniSection *own = add_section(copy, section->line, section->name);
        for (guint j = 0; j < section->keys->len; j++) {
            const IniKey *key = g_ptr_array_index(section->keys, j);
            add_new_key(own, key->line, key->name, key->value);
        }
    }
    return copy;
}

void ini_file_set(IniFile *file, const char *section, const char *key, const char *value,
                  unsigned line)
{
    IniSection *own = find_section(file, section);

    if (!own)
        own = add_section(file, 0, section);
    for (guint i = 0; i < own->keys->len; i++) {
        const IniKey *known = g_ptr_array_index(own->keys, i);
        if (strcmp(known->name, key) == 0)
            g_ptr_array_remove_index(own->keys, i--);
    }
    if (value)
        add_new_key(own, line, key, value);
}

/* `text` is the line from its '['. The keys behind a section's second beginning count as the
 * first's, so that those given twice are reported too. */
static void open_section(Reader *reader, char *text)
{
    char *end = strchr(text, ']');

    reader->section = NULL;
    reader->section_broken = true;
    if (!end || end[1] != '\0') {
        config_report_add(reader->errors, reader->line, NULL, NULL,
                          "'%s' is no section; write [name] on a line of its own", text);
        return;
    }

    *end = '\0';
    const char *name = g_strstrip(text + 1);
    reader->section_broken = false;
    reader->section = find_section(reader->file, name);
    if (reader->section)
        config_report_add(reader->errors, reader->line, name, NULL,
                          "section given twice, first in line %u; put its keys there",
                          reader->section->line);
    else
        reader->section = add_section(reader->file, reader->line, name);
}

static int add_key(void *pointer, const char *unused, const char *name, const char *value)
{
    Reader *reader = pointer;
    IniSection *section = reader->section;
    (void)unused; /* inih's section: the reader keeps the uncut one */

    if (!section) {
        if (!reader->section_broken)
            config_report_add(reader->errors, reader->line, NULL, name,
                              "stands before the first section; write it below a [section]");
        return 1;
    }

    const IniKey *first = ini_section_find(section, name);
    if (first) {
        config_report_add(reader->errors, reader->line, section->name, name,
                          "given twice, first in line %u; keep one of them", first->line);
        return 1;
    }

    add_new_key(section, reader->line, name, value);
    return 1;
}

static void cut_comment(char *text)
{
    bool behind_blank = true;

    for (; *text; text++) {
        if (behind_blank && (*text == ';' || *text == '#')) {
            *text = '\0';
            return;
        }
        behind_blank = g_ascii_isspace(*text);
    }
}

static bool is_printable(const char *text, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (g_ascii_iscntrl(text[i]) && text[i] != '\t')
            return false;
    return true;
}

/* The next line, terminated and without its end, or NULL with an error reported. */
static char *take_line(Reader *reader)
{
    char *text = reader->next;
    char *end = memchr(text, '\n', (size_t)(reader->end - text));

    if (!end)
        end = reader->end;
    reader->next = end + 1;
    reader->line++;
    if (end > text && end[-1] == '\r')
        end--;
    *end = '\0';

    if (is_printable(text, (size_t)(end - text)))
        return text;
    config_report_add(reader->errors, reader->line, NULL, NULL,
                      "the line has control characters; write plain text");
    return NULL;
}

static bool is_setting(Reader *reader, const char *text, size_t max_len)
{
    size_t name_len = strcspn(text, "=:");

    if (text[name_len] != '=' || name_len == 0) {
        config_report_add(reader->errors, reader->line,
                          reader->section ? reader->section->name : NULL, NULL,
                          "'%.60s' is no setting; write key = value", text);
        return false;
    }
    if (strlen(text) > max_len) {
        config_report_add(
            reader->errors, reader->line, reader->section ? reader->section->name : NULL, NULL,
            "the line has %zu bytes; a setting has at most %zu", strlen(text), max_len);
        return false;
    }
    return true;
}

/* An ini_reader: the next line for inih. */
static char *read_setting(char *buffer, int size, void *pointer)
{
    Reader *reader = pointer;
    size_t max_len = (size_t)(size - INIH_SPARE);

    while (reader->next < reader->end) {
        char *text = take_line(reader);
        if (!text)
            continue;
        cut_comment(text);
        g_strstrip(text);
        if (text[0] == '[') {
            open_section(reader, text);
        } else if (text[0] && is_setting(reader, text, max_len)) {
            memcpy(buffer, text, strlen(text) + 1);
            return buffer;
        }
    }
    return NULL;
}

/* Reads pipes too, whose size nobody knows before. NULL with errno set. */
static GString *read_text(const char *path)
{
    FILE *stream = fopen(path, "re");
    GString *text = g_string_new(NULL);
    char chunk[4096];
    size_t n;

    if (!stream) {
        g_string_free(text, TRUE);
        return NULL;
    }
    while (text->len <= FILE_MAX_SIZE && (n = fread(chunk, 1, sizeof chunk, stream)) > 0)
        g_string_append_len(text, chunk, (gssize)n);
    bool failed = ferror(stream);
    int error = errno;
    fclose(stream);
    if (failed) {
        g_string_free(text, TRUE);
        errno = error;
        return NULL;
    }
    return text;
}

static void parse_text(Reader *reader, GString *text)
{
    reader->next = text->str;
    reader->end = text->str + text->len;
    if (g_str_has_prefix(text->str, "\xef\xbb\xbf")) /* a byte order mark */
        reader->next += 3;

    if (&ini_max_line)
        ini_max_line = LINE_MAX_SIZE;
    if (ini_parse_stream(read_setting, reader, add_key, reader) != 0)
        config_report_add(reader->errors, reader->line, NULL, NULL, "the file cannot be parsed");
}

/* NULL with an error reported. */
static GString *load_text(const char *path, ConfigReport *errors)
{
    GString *text = read_text(path);

    if (!text) {
        config_report_add(errors, 0, NULL, NULL, "cannot be read: %s", g_strerror(errno));
        return NULL;
    }
    if (text->len > FILE_MAX_SIZE) {
        config_report_add(errors, 0, NULL, NULL, "is larger than %d bytes; name an ini file",
                          FILE_MAX_SIZE);
    } else if (memchr(text->str, '\0', text->len)) {
        config_report_add(errors, 0, NULL, NULL, "is no text; name an ini file");
    } else {
        return text;
    }
    g_string_free(text, TRUE);
    return NULL;
}

IniFile *ini_file_load(const char *path, ConfigReport *errors)
{
    GString *text = load_text(path, errors);
    if (!text)
        return NULL;

    IniFile *file = new_file();
    Reader reader = {.errors = errors, .file = file};
    parse_text(&reader, text);
    g_string_free(text, TRUE);
    return file;
}
