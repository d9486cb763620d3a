#include "eval/export_metrics.h"

#include <math.h>
#include <string.h>

#include "base/files.h"
#include "base/memory.h"
#include "eval/metrics_reader.h"
#include "eval/protobuf.h"

enum { FLUSH = 1 << 16, MOST_COLUMNS = 1000 };

/* What is written of one line after another. */
typedef struct exported {
    const char *input;
    nnclr_metrics_reader *reader;
    nnclr_output *out;
    nnclr_buffer text; /* not yet in the output */
    const nnclr_progress *progress;
    char **columns; /* of CSV */
    size_t column_count, column_capacity;
} exported;

typedef bool (*see_line)(exported *x, const nnclr_json *line, double step, nnclr_error *e);

static bool flush(exported *x, nnclr_error *e) {
    const bool ok = x->text.size == 0 || nnclr_output_write(x->out, x->text.data, x->text.size, e);
    x->text.size = 0;
    return ok;
}

/* All lines of the input, from its beginning. */
static bool each_line(exported *x, see_line see, nnclr_error *e) {
    nnclr_buffer path = {0};
    bool ok = nnclr_buffer_printf(&path, e, "%s%s", x->input,
                                  nnclr_is_folder(x->input) ? "/metrics.jsonl" : "") &&
              (x->reader = nnclr_metrics_open((const char *)path.data, e)) != NULL;
    nnclr_json *line = NULL;
    double step;
    while (ok && (ok = nnclr_metrics_next(x->reader, &line, &step, e)) && line) {
        ok = see(x, line, step, e) &&
             (x->text.size < FLUSH ||
              (flush(x, e) && nnclr_progress_tell(x->progress, "lines",
                                                  nnclr_metrics_lines(x->reader), 0, NULL, e)));
        nnclr_json_free(line);
    }
    if (ok && nnclr_metrics_lines(x->reader) == nnclr_metrics_damaged(x->reader))
        ok =
            nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: has no line of metrics", (const char *)path.data);
    nnclr_metrics_close(x->reader);
    x->reader = NULL;
    nnclr_buffer_free(&path);
    return ok;
}

static bool finish(exported *x, bool ok, nnclr_error *e) {
    ok = ok && flush(x, e);
    if (ok)
        ok = nnclr_output_commit(x->out, e);
    else if (x->out)
        nnclr_output_abandon(x->out);
    for (size_t i = 0; i < x->column_count; i++)
        nnclr_free(x->columns[i]);
    nnclr_free(x->columns);
    nnclr_buffer_free(&x->text);
    return ok;
}

/* ---- CSV ---- */

static bool learn_columns(exported *x, const nnclr_json *line, double step, nnclr_error *e) {
    (void)step;
    const char *key;
    void *iterator = NULL;
    while (nnclr_json_each(line, &iterator, &key)) {
        size_t i = 0;
        while (i < x->column_count && strcmp(x->columns[i], key) != 0)
            i++;
        if (i < x->column_count)
            continue;
        if (i == MOST_COLUMNS)
            return nnclr_fail(e, NNCLR_ERROR_LIMIT,
                              "%s: its lines have more than %d different keys", x->input,
                              MOST_COLUMNS);
        if (!nnclr_reserve(&x->columns, &x->column_capacity, i + 1, sizeof *x->columns, e) ||
            !(x->columns[i] = nnclr_strdup(key, e)))
            return false;
        x->column_count++;
    }
    return true;
}

/* In quotes if it needs them. */
static bool put_field(exported *x, const char *text, nnclr_error *e) {
    if (!strpbrk(text, ",\"\r\n"))
        return nnclr_buffer_append(&x->text, text, strlen(text), e);
    bool ok = nnclr_buffer_append(&x->text, "\"", 1, e);
    for (; ok && *text; text++)
        ok = nnclr_buffer_append(&x->text, *text == '"' ? "\"\"" : text, *text == '"' ? 2 : 1, e);
    return ok && nnclr_buffer_append(&x->text, "\"", 1, e);
}

static bool put_value(exported *x, const nnclr_json *value, nnclr_error *e) {
    const char *text = nnclr_json_string(value);
    nnclr_buffer printed = {0};
    bool ok = true;
    if (text)
        ok = put_field(x, text, e);
    else if (value)
        ok = nnclr_json_print(value, false, &printed, e) &&
             put_field(x, (const char *)printed.data, e);
    nnclr_buffer_free(&printed);
    return ok;
}

static bool put_row(exported *x, const nnclr_json *line, double step, nnclr_error *e) {
    (void)step;
    bool ok = true;
    for (size_t i = 0; ok && i < x->column_count; i++)
        ok = (i == 0 || nnclr_buffer_append(&x->text, ",", 1, e)) &&
             put_value(x, nnclr_json_get(line, x->columns[i]), e);
    return ok && nnclr_buffer_append(&x->text, "\n", 1, e);
}

bool nnclr_export_csv(const char *input, const char *path, const nnclr_progress *progress,
                      nnclr_error *e) {
    exported x = {.input = input, .progress = progress};
    bool ok = each_line(&x, learn_columns, e) && (x.out = nnclr_output_open(path, e)) != NULL;
    for (size_t i = 0; ok && i < x.column_count; i++)
        ok = (i == 0 || nnclr_buffer_append(&x.text, ",", 1, e)) && put_field(&x, x.columns[i], e);
    ok = ok && nnclr_buffer_append(&x.text, "\n", 1, e) && each_line(&x, put_row, e);
    return finish(&x, ok, e);
}

/* ---- TensorBoard ---- */

uint32_t nnclr_crc32c(const void *bytes, size_t size) {
    const unsigned char *p = bytes;
    uint32_t crc = ~0u;
    for (size_t i = 0; i < size; i++) {
        crc ^= p[i];
        for (int bit = 0; bit < 8; bit++)
            crc = crc >> 1 ^ (crc & 1 ? 0x82F63B78u : 0);
    }
    return ~crc;
}

/* Masked, because a checksum of bytes that hold their own checksum is a poor one. */
static void store_checksum(unsigned char to[4], const void *bytes, size_t size) {
    const uint32_t crc = nnclr_crc32c(bytes, size);
    nnclr_store_u32(to, (crc >> 15 | crc << 17) + 0xA282EAD8u);
}

/* A TFRecord: length, its checksum, the bytes, their checksum. */
static bool put_record(exported *x, const nnclr_buffer *event, nnclr_error *e) {
    unsigned char head[12], tail[4];
    nnclr_store_u64(head, event->size);
    store_checksum(head + 8, head, 8);
    store_checksum(tail, event->data, event->size);
    return nnclr_buffer_append(&x->text, head, sizeof head, e) &&
           nnclr_buffer_append(&x->text, event->data, event->size, e) &&
           nnclr_buffer_append(&x->text, tail, sizeof tail, e);
}

/* Fields of the messages, from tensorboard/compat/proto/event.proto and summary.proto. A number
 * that is 0, as the time always is, is left out. */
enum {
    EVENT_STEP = 2,
    EVENT_FILE_VERSION = 3,
    EVENT_SUMMARY = 5,
    SUMMARY_VALUE = 1,
    VALUE_TAG = 1,
    VALUE_SIMPLE = 2
};

static bool put_version(exported *x, nnclr_error *e) {
    nnclr_buffer event = {0};
    const bool ok = nnclr_proto_text(&event, EVENT_FILE_VERSION, "brain.Event:2", e) &&
                    put_record(x, &event, e);
    nnclr_buffer_free(&event);
    return ok;
}

static bool put_scalar(nnclr_buffer *summary, const char *key, float scalar, nnclr_error *e) {
    nnclr_buffer value = {0};
    const bool ok = nnclr_proto_text(&value, VALUE_TAG, key, e) &&
                    nnclr_proto_float(&value, VALUE_SIMPLE, scalar, e);
    return nnclr_proto_message(summary, SUMMARY_VALUE, &value, ok, e);
}

static bool put_event(exported *x, const nnclr_json *line, double step, nnclr_error *e) {
    nnclr_buffer event = {0}, summary = {0};
    const char *key;
    void *iterator = NULL;
    bool ok = step < 1 || nnclr_proto_int(&event, EVENT_STEP, (int64_t)step, e);
    for (const nnclr_json *member; ok && (member = nnclr_json_each(line, &iterator, &key));) {
        double value;
        if (strcmp(key, "step") != 0 && nnclr_json_real(member, &value) && isfinite((float)value))
            ok = put_scalar(&summary, key, (float)value, e);
    }
    const bool any = summary.size > 0;
    ok = nnclr_proto_message(&event, EVENT_SUMMARY, &summary, ok, e) &&
         (!any || put_record(x, &event, e));
    nnclr_buffer_free(&event);
    return ok;
}

bool nnclr_export_events(const char *input, const char *path, const nnclr_progress *progress,
                         nnclr_error *e) {
    exported x = {.input = input, .progress = progress};
    const bool ok = (x.out = nnclr_output_open(path, e)) != NULL && put_version(&x, e) &&
                    each_line(&x, put_event, e);
    return finish(&x, ok, e);
}
