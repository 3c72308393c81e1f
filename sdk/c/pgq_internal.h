/* What the parts of the SDK share. */
#ifndef PGQ_INTERNAL_H
#define PGQ_INTERNAL_H

#include "pgq.h"

pgq_entrypoint *pgq_find(const char *name);
/* The declarations as the host reads them, one text for the plugin (0) and one for each entrypoint; NULL after the last. */
const char *pgq_declaration(size_t number);
/* Run the handler of this job. */
pgq_result pgq_run(const pgq_job *job);
/* Run the handler of these jobs, all of one entrypoint. */
void pgq_run_batch(const pgq_job *jobs, size_t count, pgq_result *results);
char *pgq_copy(const void *data, size_t length);
void pgq_free_all(void);

#endif
