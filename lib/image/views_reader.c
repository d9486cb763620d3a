#include <string.h>

#include "base/memory.h"
#include "image/views_file.h"
#include "io/tensor_file.h"

enum { VIEWS = 2, LARGEST = 4096, SMALLEST = 1 };

/* What rounding may add to [0,1]. */
#define SLACK 0.001f

struct nnclr_views {
    nnclr_tensor_reader *readers[VIEWS]; /* one each: a reader holds one frame */
    const nnclr_tensor_info *infos[VIEWS];
    size_t count, row; /* row: values of one view */
    int size;
    int64_t *record, *label;
    nnclr_json *classes; /* array of strings; NULL: not told */
    bool summed;         /* the checksum has been taken */
    uint32_t crc;
};

/* ---- opening ---- */

static const nnclr_tensor_info *find_view(const nnclr_tensor_reader *reader, const char *name,
                                          nnclr_error *e) {
    const char *path = nnclr_tensor_reader_path(reader);
    const nnclr_tensor_info *info = nnclr_tensor_reader_find(reader, name);
    bool typed = info && (info->dtype == NNCLR_F32 || info->dtype == NNCLR_U8);
    bool shaped = info && info->rank == 4 && info->dims[0] >= 1 && info->dims[3] == 3;
    if (!info)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: holds no tensor \"%s\"", path, name);
    else if (!typed || !shaped)
        nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: tensor \"%s\" is not F32 or U8 [n, h, w, 3]", path,
                   name);
    else if (info->dims[1] != info->dims[2] || info->dims[1] < SMALLEST || info->dims[1] > LARGEST)
        nnclr_fail(e, NNCLR_ERROR_INPUT,
                   "%s: the views are %lld x %lld pixels, not square and at most %d", path,
                   (long long)info->dims[2], (long long)info->dims[1], (int)LARGEST);
    else
        return info;
    return NULL;
}

static bool find_views(nnclr_views *views, nnclr_error *e) {
    static const char *const names[VIEWS] = {"view1", "view2"};
    for (int i = 0; i < VIEWS; i++)
        if (!(views->infos[i] = find_view(views->readers[i], names[i], e)))
            return false;
    const nnclr_tensor_info *a = views->infos[0], *b = views->infos[1];
    if (a->dtype != b->dtype || memcmp(a->dims, b->dims, 4 * sizeof *a->dims) != 0)
        return nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: view1 and view2 differ in shape or type",
                          nnclr_views_path(views));
    views->count = (size_t)a->dims[0];
    views->size = (int)a->dims[1];
    views->row = 3 * (size_t)views->size * (size_t)views->size;
    return true;
}

static bool load_classes(nnclr_views *views, nnclr_error *e) {
    const char *text = nnclr_tensor_reader_metadata(views->readers[0], "nnclr.classes");
    if (!text)
        return true;
    views->classes = nnclr_json_parse(text, strlen(text), "nnclr.classes", e);
    bool strings = nnclr_json_is_array(views->classes);
    for (size_t i = 0; strings && i < nnclr_json_count(views->classes); i++)
        strings = nnclr_json_string(nnclr_json_at(views->classes, i)) != NULL;
    return strings || nnclr_fail(e, NNCLR_ERROR_INPUT, "%s: nnclr.classes is not an array of names",
                                 nnclr_views_path(views));
}

static bool load_columns(nnclr_views *views, nnclr_error *e) {
    const int64_t dims[] = {(int64_t)views->count};
    nnclr_tensor_reader *reader = views->readers[0];
    views->record = nnclr_tensor_reader_load(reader, "record", NNCLR_I64, 1, dims, NULL, e);
    views->label = views->record
                       ? nnclr_tensor_reader_load(reader, "label", NNCLR_I64, 1, dims, NULL, e)
                       : NULL;
    if (!views->label)
        return false;
    int64_t labels = views->classes ? (int64_t)nnclr_json_count(views->classes) : INT64_MAX;
    for (size_t i = 0; i < views->count; i++)
        if (views->record[i] < 0 || views->label[i] < -1 || views->label[i] >= labels)
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: row %zu has record %lld and label %lld: records count from 0, "
                              "labels too, or are -1, and are positions in nnclr.classes",
                              nnclr_views_path(views), i, (long long)views->record[i],
                              (long long)views->label[i]);
    return true;
}

nnclr_views *nnclr_views_open(const char *path, nnclr_error *e) {
    nnclr_views *views = nnclr_alloc_zero(1, sizeof *views, e);
    if (!views)
        return NULL;
    if ((views->readers[0] = nnclr_tensor_reader_open(path, e)) &&
        nnclr_tensor_reader_expect(views->readers[0], "views", e) &&
        (views->readers[1] = nnclr_tensor_reader_dup(views->readers[0], e)) &&
        find_views(views, e) && load_classes(views, e) && load_columns(views, e))
        return views;
    nnclr_views_close(views);
    return NULL;
}

void nnclr_views_close(nnclr_views *views) {
    if (!views)
        return;
    for (int i = 0; i < VIEWS; i++)
        nnclr_tensor_reader_close(views->readers[i]);
    nnclr_json_free(views->classes);
    nnclr_free(views->label);
    nnclr_free(views->record);
    nnclr_free(views);
}

/* ---- what is in it ---- */

const char *nnclr_views_path(const nnclr_views *views) {
    return nnclr_tensor_reader_path(views->readers[0]);
}

size_t nnclr_views_count(const nnclr_views *views) {
    return views->count;
}

int nnclr_views_size(const nnclr_views *views) {
    return views->size;
}

const int64_t *nnclr_views_record(const nnclr_views *views) {
    return views->record;
}

const int64_t *nnclr_views_label(const nnclr_views *views) {
    return views->label;
}

size_t nnclr_views_class_count(const nnclr_views *views) {
    return views->classes ? nnclr_json_count(views->classes) : 0;
}

const char *nnclr_views_class(const nnclr_views *views, size_t label) {
    return nnclr_json_string(nnclr_json_at(views->classes, label));
}

nnclr_json *nnclr_views_identity(nnclr_views *views, nnclr_error *e) {
    if (!views->summed && !nnclr_tensor_reader_crc32(views->readers[0], &views->crc, e))
        return NULL;
    views->summed = true;
    nnclr_json *array = nnclr_json_array(e), *one = array ? nnclr_json_object(e) : NULL;
    return nnclr_json_if(array && nnclr_json_push(array, one, e) &&
                             nnclr_json_put_int(one, "records", (int64_t)views->count, e) &&
                             nnclr_json_put_int(one, "crc32", views->crc, e) &&
                             nnclr_json_put_string(one, "kind", "views", e),
                         array);
}

/* ---- pictures ---- */

/* In place: the bytes are in the last quarter of `out`, so that none is overwritten before it has
 * been read. */
static void widen(float *out, size_t count) {
    const unsigned char *bytes = (const unsigned char *)out + count * (sizeof *out - 1);
    for (size_t i = 0; i < count; i++) {
        float value = (float)bytes[i] * (1.0f / 255); /* as a resize to the same size */
        memcpy(&out[i], &value, sizeof value);
    }
}

static bool check_range(const nnclr_views *views, int view, size_t first, size_t n,
                        const float *values, nnclr_error *e) {
    for (size_t i = 0; i < n * views->row; i++)
        if (!(values[i] >= -SLACK && values[i] <= 1 + SLACK))
            return nnclr_fail(e, NNCLR_ERROR_INPUT,
                              "%s: %s of row %zu holds the number %g: views lie in [0,1], before "
                              "normalisation",
                              nnclr_views_path(views), views->infos[view]->name,
                              first + i / views->row, (double)values[i]);
    return true;
}

bool nnclr_views_read(nnclr_views *views, int view, size_t first, size_t n, float *out,
                      nnclr_error *e) {
    const nnclr_tensor_info *info = views->infos[view];
    size_t width = nnclr_dtype_bytes(info->dtype), bytes = n * views->row * width;
    unsigned char *to = (unsigned char *)out + n * views->row * (sizeof *out - width);
    if (!nnclr_tensor_reader_read(views->readers[view], info, (uint64_t)first * views->row * width,
                                  to, bytes, e))
        return false;
    if (info->dtype == NNCLR_F32)
        return check_range(views, view, first, n, out, e);
    widen(out, n * views->row);
    return true;
}
