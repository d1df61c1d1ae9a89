/* Numbers and tables as people read them. */
#include <criterion/criterion.h>
#include <math.h>

#include "figures.h"
#include "table.h"

typedef struct Case {
    double number;
    const char *text;
} Case;

static void expect(char *(*figure)(double), const Case *cases, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char *text = figure(cases[i].number);
        cr_expect_str_eq(text, cases[i].text);
        g_free(text);
    }
}

Test(figures, counts_have_their_thousands_apart)
{
    static const Case cases[] = {
        {0, "0"}, {999, "999"}, {1000, "1,000"}, {123456, "123,456"}, {1e9, "1,000,000,000"},
        {-3, "0"}};
    expect(figure_count, cases, G_N_ELEMENTS(cases));
}

Test(figures, small_numbers_have_a_decimal)
{
    static const Case cases[] = {
        {0, "0.0"}, {15.94, "15.9"}, {99.94, "99.9"}, {99.96, "100"}, {12345, "12,345"}};
    expect(figure_one, cases, G_N_ELEMENTS(cases));
}

Test(figures, times_have_the_unit_that_fits)
{
    static const Case cases[] = {{0, "0 us"},          {310e-6, "310 us"},  {999.4e-6, "999 us"},
                                 {999.6e-6, "1.0 ms"}, {5.24e-3, "5.2 ms"}, {99.94e-3, "99.9 ms"},
                                 {99.96e-3, "100 ms"}, {0.9994, "999 ms"},  {0.9996, "1.00 s"},
                                 {68.719, "68.72 s"},  {NAN, "-"}};
    expect(figure_time, cases, G_N_ELEMENTS(cases));
}

Test(figures, bytes_have_the_unit_that_fits)
{
    static const Case cases[] = {{0, "0 B"},        {1023, "1023 B"},
                                 {1024, "1.0 KiB"}, {268435456, "256.0 MiB"},
                                 {5e9, "4.7 GiB"},  {5e15, "4547.5 TiB"}};
    expect(figure_bytes, cases, G_N_ELEMENTS(cases));
}

Test(figures, spans_have_two_units)
{
    static const Case cases[] = {{-1, "0 s"},
                                 {59.9, "59 s"},
                                 {60, "1 min 0 s"},
                                 {3599, "59 min 59 s"},
                                 {7980, "2 h 13 min"},
                                 {86399, "23 h 59 min"},
                                 {86400 * 3 + 3600, "3 d 1 h"}};
    expect(figure_span, cases, G_N_ELEMENTS(cases));
}

Test(figures, text_from_elsewhere_is_harmless)
{
    static const char *const cases[][2] = {{"getUser", "getUser"},
                                           {"a\x1b[2Jb\nc", "a?[2Jb?c"},
                                           {"m\xc3\xa9todo", "m\xc3\xa9todo"},
                                           {"\xff", "\xef\xbf\xbd"}};
    for (size_t i = 0; i < G_N_ELEMENTS(cases); i++) {
        char *text = figure_text(cases[i][0]);
        cr_expect_str_eq(text, cases[i][1]);
        g_free(text);
    }
}

Test(table, columns_are_as_wide_as_their_widest_cell)
{
    static const char *const headers[] = {"name", "n", "last"};
    Table *table = table_new("lrl", headers);
    static const char *const cells[] = {"a", "1,000", "x", "m\xc3\xa9todo", "2", "end"};
    for (size_t i = 0; i < G_N_ELEMENTS(cells); i++)
        table_add(table, cells[i]);
    GString *text = g_string_new(NULL);
    table_append(table, text);
    cr_expect_str_eq(text->str, "  name        n  last\n"
                                "  a       1,000  x\n"
                                "  m\xc3\xa9todo      2  end\n");
    g_string_free(text, TRUE);
    table_free(table);
}
