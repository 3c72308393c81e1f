//! The generated bindings of `wit/`. They are private to this crate: the rest of the host sees only
//! the plain data of `pgq-job`, and the values of SQL (`sql`).

wasmtime::component::bindgen!({
    path: "wit",
    world: "plugin",
    imports: {
        "pgq:plugin/sql.execute": async | trappable,
        "pgq:plugin/sql.query": async | trappable,
        "pgq:plugin/sql.set-savepoint": async | trappable,
        "pgq:plugin/sql.[method]cursor.next": async | trappable,
        "pgq:plugin/sql.[method]savepoint.release": async | trappable,
        "pgq:plugin/sql.[method]savepoint.roll-back": async | trappable,
        "pgq:plugin/http.send": async | trappable,
        "pgq:plugin/http.[method]response.read": async | trappable,
        default: trappable,
    },
    exports: { default: async },
    with: {
        "pgq:plugin/jobs.job": super::resources::JobHandle,
        "pgq:plugin/registry.registrar": super::resources::Registrar,
        "pgq:plugin/registry.entrypoint": super::resources::EntrypointHandle,
        "pgq:plugin/enqueue.request": super::resources::Request,
        "pgq:plugin/sql.cursor": super::resources::CursorHandle,
        "pgq:plugin/sql.savepoint": super::resources::SavepointHandle,
        "pgq:plugin/sql.error": super::resources::SqlErrorHandle,
        "pgq:plugin/http.request": super::http_resources::HttpRequestHandle,
        "pgq:plugin/http.response": super::http_resources::HttpResponseHandle,
        "pgq:plugin/http.error": super::http_resources::HttpErrorHandle,
    },
    require_store_data_send: true,
});

/// The optional export. It is bound separately, so that a component without it is still a plugin.
pub(super) mod batch {
    wasmtime::component::bindgen!({
        path: "wit",
        inline: "package pgq:host; world batch { export pgq:plugin/batch-handler@0.1.0; }",
        world: "pgq:host/batch",
        exports: { default: async },
        with: { "pgq:plugin/jobs": super::pgq::plugin::jobs },
        require_store_data_send: true,
    });
}
