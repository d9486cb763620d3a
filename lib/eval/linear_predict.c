#include "base/memory.h"
#include "eval/labelled_rows.h"
#include "eval/linear.h"
#include "eval/softmax.h"

enum { BLOCK_BYTES = 16 << 20 };

typedef struct predictor {
    nnclr_engine *engine;
    const nnclr_classifier *classifier;
    const int64_t *label;
    nnclr_prediction *predictions;
    nnclr_softmax *softmax;
    size_t columns;
    double *weights;       /* [classes][columns] */
    int64_t block, first;  /* rows at a time, and the first of these */
    float *rows, *scratch; /* [block][d], [columns] */
    void *place;           /* reals [block][columns] */
    size_t bytes;
} predictor;

/* The weights as softmax.h takes them, the bias after the others. */
static bool join_weights(predictor *p, nnclr_error *e) {
    const nnclr_classifier *x = p->classifier;
    p->weights = nnclr_alloc((size_t)x->classes, p->columns * sizeof *p->weights, e);
    for (int c = 0; p->weights && c < x->classes; c++) {
        double *row = p->weights + (size_t)c * p->columns;
        for (int j = 0; j < x->d; j++)
            row[j] = x->weight[(size_t)c * (size_t)x->d + (size_t)j];
        row[x->d] = x->bias[c];
    }
    return p->weights;
}

static bool allocate(predictor *p, int64_t n, nnclr_error *e) {
    const size_t row = p->columns * sizeof(float);
    p->block = BLOCK_BYTES / (int64_t)row;
    p->block = p->block < 1 ? 1 : p->block < n ? p->block : n;
    p->bytes = (size_t)p->block * p->columns * nnclr_real_bytes(p->engine);
    return join_weights(p, e) && (p->rows = nnclr_alloc((size_t)p->block, row, e)) &&
           (p->scratch = nnclr_alloc(p->columns, sizeof *p->scratch, e)) &&
           (p->softmax =
                nnclr_softmax_create(p->engine, (int)p->columns, p->classifier->classes, e)) &&
           (p->place = p->engine->table->arena_create(p->engine, p->bytes, e));
}

static void take(void *context, int64_t row, const double *probability) {
    const predictor *p = context;
    const int64_t i = p->first + row;
    p->predictions[i] = nnclr_predict(probability, p->classifier->classes, p->label[i]);
}

static bool predict_block(predictor *p, const nnclr_row_source *test, nnclr_error *e) {
    const int64_t count = test->n - p->first < p->block ? test->n - p->first : p->block;
    if (!test->read(test, p->first, count, p->rows, e))
        return false;
    for (int64_t i = 0; i < count; i++)
        if (!nnclr_classifier_put(p->classifier, p->engine, p->rows + i * test->d, p->scratch,
                                  nnclr_real_at(p->engine, p->place, (size_t)i * p->columns),
                                  "TEST", p->first + i, e))
            return false;
    return nnclr_softmax_each(p->softmax, p->place, count, p->weights, take, p, e);
}

bool nnclr_linear_predict(nnclr_engine *engine, const nnclr_classifier *classifier,
                          const nnclr_row_source *test, const int64_t *test_label,
                          nnclr_prediction *predictions, nnclr_error *e) {
    predictor p = {.engine = engine,
                   .classifier = classifier,
                   .label = test_label,
                   .predictions = predictions,
                   .columns = (size_t)classifier->d + 1};
    bool ok = allocate(&p, test->n, e);
    for (; ok && p.first < test->n; p.first += p.block)
        ok = predict_block(&p, test, e);
    if (p.place)
        engine->table->arena_free(engine, p.place, p.bytes);
    nnclr_softmax_free(p.softmax);
    nnclr_free(p.scratch);
    nnclr_free(p.rows);
    nnclr_free(p.weights);
    return ok;
}
