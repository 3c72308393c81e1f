//! Describes a schema, for comparing it with another one or with itself later.

use sqlx::PgConnection;

/// Everything in a namespace, one line per object as the catalog prints it, whoever declared it.
/// The order of columns is ignored.
pub async fn everything(conn: &mut PgConnection, namespace: &str) -> Vec<String> {
    const SQL: &str = "
        SELECT line FROM (
            SELECT format('column %s.%s %s null=%s identity=%s default=%s', c.relname, a.attname, format_type(a.atttypid, a.atttypmod),
                          NOT a.attnotnull, a.attidentity, pg_get_expr(d.adbin, d.adrelid))
            FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
            LEFT JOIN pg_attrdef d ON d.adrelid = c.oid AND d.adnum = a.attnum
            WHERE c.relnamespace = $1::text::regnamespace AND c.relkind IN ('r', 'p', 'v')
        UNION ALL
            SELECT format('relation %s kind=%s persistence=%s', relname, relkind, relpersistence)
            FROM pg_class WHERE relnamespace = $1::text::regnamespace
        UNION ALL
            SELECT format('sequence %s %s', seqrelid::regclass, format_type(seqtypid, NULL)) FROM pg_sequence
            JOIN pg_class c ON c.oid = seqrelid WHERE c.relnamespace = $1::text::regnamespace
        UNION ALL
            SELECT format('index %s valid=%s', pg_get_indexdef(indexrelid), indisvalid) FROM pg_index
            JOIN pg_class c ON c.oid = indrelid WHERE c.relnamespace = $1::text::regnamespace
        UNION ALL
            SELECT format('constraint %s %s', conname, pg_get_constraintdef(oid)) FROM pg_constraint
            WHERE connamespace = $1::text::regnamespace AND contype <> 'n'
        UNION ALL
            SELECT format('function %s %s %s', proname, pg_get_function_result(oid), regexp_replace(prosrc, '\\s+', ' ', 'g'))
            FROM pg_proc WHERE pronamespace = $1::text::regnamespace
        UNION ALL
            SELECT format('trigger %s enabled=%s', pg_get_triggerdef(t.oid), tgenabled) FROM pg_trigger t
            JOIN pg_class c ON c.oid = tgrelid WHERE c.relnamespace = $1::text::regnamespace AND NOT tgisinternal
        UNION ALL
            SELECT format('enum %s %s', typname, (SELECT string_agg(enumlabel, ',' ORDER BY enumsortorder) FROM pg_enum WHERE enumtypid = t.oid))
            FROM pg_type t WHERE typnamespace = $1::text::regnamespace AND typtype = 'e'
        ) AS all_of_it (line) ORDER BY line COLLATE \"C\"";
    sqlx::query_scalar(SQL).bind(namespace).fetch_all(conn).await.expect("the catalog")
}
