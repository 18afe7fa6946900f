// SPDX-License-Identifier: Apache-2.0
/*
 * `show stat` read back: the exporter's page and the JSON show the same columns, so they take them
 * from the same place. No value holds a comma, quote or line break, which is why splitting is all.
 */
#include "lb/web_parts.h"

#include <stdlib.h>

static size_t count_lines(struct span text)
{
    size_t lines = 0;
    for (size_t i = 0; i < text.len; i++)
        lines += text.ptr[i] == '\n';
    return lines;
}

/* Every line ends with a comma: the last piece is not a cell. */
static size_t count_columns(struct span line)
{
    size_t commas = 0;
    for (size_t i = 0; i < line.len; i++)
        commas += line.ptr[i] == ',';
    return commas;
}

static void split_line(struct web_table *table, struct span line, size_t row)
{
    for (size_t column = 0; column < table->columns; column++)
        table->cells[row * table->columns + column] = span_cut(&line, ',');
}

bool web_table_read(struct serving *serving, bool addresses, struct web_table *table)
{
    struct stats_filter filter = STATS_ALL;
    filter.addresses = addresses;
    *table = (struct web_table){0};
    stats_csv_some(serving, &filter, &table->text);
    if (table->text.failed)
        return false;
    struct span rest = span_of(table->text.data, table->text.len);
    size_t lines = count_lines(rest);
    struct span line = span_from(span_cut(&rest, '\n'), 2); // "# "
    table->columns = count_columns(line);
    table->cells = calloc(lines * table->columns + 1, sizeof(*table->cells));
    if (table->cells == NULL)
        return false;
    table->rows = lines > 0 ? lines - 1 : 0;
    for (size_t row = 0; row <= table->rows; row++) {
        split_line(table, line, row);
        line = span_cut(&rest, '\n');
    }
    return true;
}

void web_table_free(struct web_table *table)
{
    text_free(&table->text);
    free(table->cells);
}

size_t web_table_column(const struct web_table *table, struct span name)
{
    for (size_t i = 0; i < table->columns; i++) {
        if (span_eq(table->cells[i], name))
            return i;
    }
    return SIZE_MAX;
}

struct span web_table_cell(const struct web_table *table, size_t row, size_t column)
{
    if (row >= table->rows || column >= table->columns)
        return SPAN_NONE;
    return table->cells[(row + 1) * table->columns + column];
}
